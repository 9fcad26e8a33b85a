"""`precedent judge`: a local VLM behind an OpenAI-compatible endpoint, in the foreground."""

import json
import logging
from pathlib import Path

import click

from policy.commands.options import FOLDER


@click.command()
@click.option(
    "--checkpoint", type=FOLDER, help="A folder of transformers' form: ours, or any VLM's [the deployed one]."
)
@click.option("--vlm", "root", type=FOLDER, envvar="PRECEDENT_VLM", default=Path(".state/vlm-root"), show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Plain HTTP without a key: keep it on loopback.")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, show_default=True, help="0 takes a free one.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda:0, ...")
def judge(checkpoint: Path | None, root: Path, host: str, port: int, device: str) -> None:
    """Serve a VLM: POST /v1/chat/completions, as `case adjudicate`, `vlm teach` and `benchmark` ask it.

    The ready line names the address, and the frames and characters a question that it was taught on has: ask it with
    the same. On a GPU, vLLM serves the same folder faster (deploy/vllm).

    \b
    Example:
      precedent judge --checkpoint vlm/rl --port 8000
      precedent case adjudicate --judge http://127.0.0.1:8000/v1 --model vlm/rl --votes 5
    """
    from policy.reasoning.models.checkpoint import read_record
    from policy.reasoning.models.serve import serve
    from policy.reasoning.refinement.seat import deployed

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    checkpoint = checkpoint or deployed(root)
    record = read_record(checkpoint)
    budget = {} if record is None else {"frames": record.frames, "chars": record.chars}
    serve(
        checkpoint,
        host=host,
        port=port,
        device=device,
        announce=lambda address: click.echo(json.dumps({"part": "judge", "address": address, **budget})),
    )
