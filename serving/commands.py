"""`precedent triton`: the embedded model server, in the foreground, on whatever the release pointer names."""

import json
import logging
import sys
import time
from pathlib import Path

import click

from contracts.errors import BadInputError

FOLDER = click.Path(path_type=Path, file_okay=False)
FOLLOW_EVERY_S = 0.2
TOUCH_EVERY_S = 2.0


class Heartbeat:
    """A file whose age says for how long something has not been so; nothing is written without a path."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._touched_at = -TOUCH_EVERY_S

    def touch(self) -> None:
        if self._path is not None and time.monotonic() - self._touched_at >= TOUCH_EVERY_S:
            self._path.touch()
            self._touched_at = time.monotonic()


@click.command()
@click.option(
    "--releases",
    type=FOLDER,
    envvar="PRECEDENT_RELEASES",
    default=Path(".state/releases"),
    show_default=True,
    help="Folder of releases and the pointer.",
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8_001, show_default=True, help="gRPC; 0 takes a free one."
)
@click.option("--repository", type=FOLDER, help="Where the model repository is written [a temporary folder].")
@click.option("--instances", type=click.IntRange(1), default=1, show_default=True, help="Copies of each model.")
@click.option(
    "--grace-s", type=click.FloatRange(0), default=10.0, show_default=True, help="How long unnamed pins stay loaded."
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Touched every few seconds while every pin that the pointer names is served.",
)
@click.option("--server", help="HOST:PORT of a Triton that runs elsewhere, on the same --repository.")
@click.option("--gpu", is_flag=True, help="With --server: its models run on its GPUs.")
@click.option("--tensorrt", type=click.Choice(["FP32", "FP16"]), help="With --gpu: run the student by TensorRT.")
def triton(
    releases: Path,
    port: int,
    repository: Path | None,
    instances: int,
    grace_s: float,
    ready_file: Path | None,
    server: str | None,
    gpu: bool,
    tensorrt: str | None,
) -> None:
    """Serve the live, canary and shadow releases of a folder by Triton, following its pointer.

    Without --server, the embedded Triton runs here, on the Python backend. With it, models are written to a
    repository that it shares, for the onnxruntime backend, and loaded by its model control
    (--model-control-mode=explicit).

    \b
    Example:
      precedent triton --releases releases --port 0
      precedent triton --releases releases --repository /models --server triton:8001 --gpu
    """
    from serving.stopping import stop_on_signals
    from serving.triton.configs import Backend, ServingOptions
    from serving.triton.embedded import EmbeddedTriton, RemoteTriton

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stopped = stop_on_signals()
    served: EmbeddedTriton | RemoteTriton
    if server is None:
        if gpu or tensorrt:
            raise BadInputError("--gpu and --tensorrt need --server: the embedded Triton runs on the CPU")
        options = ServingOptions(instances=instances)
        served = EmbeddedTriton(releases, port=port, repository=repository, options=options, grace_s=grace_s)
    else:
        if repository is None:
            raise BadInputError("--server needs --repository, the folder that the server reads")
        options = ServingOptions(Backend.ONNXRUNTIME, instances=instances, gpu=gpu, tensorrt=tensorrt or "")
        served = RemoteTriton(releases, server, repository=repository, options=options, grace_s=grace_s)
    with served:
        ready = {"part": "triton", "address": served.address, "served": len(served.follower.served)}
        click.echo(json.dumps(ready))
        beat = Heartbeat(ready_file)
        while not stopped.wait(FOLLOW_EVERY_S):
            served.step()
            if served.follower.complete:
                beat.touch()
