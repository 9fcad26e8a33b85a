"""`precedent triton`: the embedded model server, in the foreground, on whatever the release pointer names."""

import json
import logging
import signal
import sys
import threading
from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)
FOLLOW_EVERY_S = 0.2


@click.command()
@click.option(
    "--releases", type=FOLDER, required=True, envvar="PRECEDENT_RELEASES", help="Folder of releases and the pointer."
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8_001, show_default=True, help="gRPC; 0 takes a free one."
)
@click.option("--repository", type=FOLDER, help="Where the model repository is written [a temporary folder].")
@click.option("--instances", type=click.IntRange(1), default=1, show_default=True, help="Copies of each model.")
@click.option(
    "--grace-s", type=click.FloatRange(0), default=10.0, show_default=True, help="How long unnamed pins stay loaded."
)
def triton(releases: Path, port: int, repository: Path | None, instances: int, grace_s: float) -> None:
    """Serve the live, canary and shadow releases of a folder by Triton, following its pointer.

    \b
    Example:
      precedent triton --releases releases --port 0
    """
    from serving.triton.configs import ServingOptions
    from serving.triton.embedded import EmbeddedTriton

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    options = ServingOptions(instances=instances)
    with EmbeddedTriton(releases, port=port, repository=repository, options=options, grace_s=grace_s) as served:
        ready = {"part": "triton", "address": served.address, "served": len(served.follower.served)}
        click.echo(json.dumps(ready | {"log": str(served.server.log)}))
        while not stopped.wait(FOLLOW_EVERY_S):
            served.step()
