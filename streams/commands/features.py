"""`precedent features`: the room's commands, and its writer as a part that is watched like the others."""

import asyncio
import json
import logging
import os
import signal
from contextlib import closing

import click

from contracts.errors import BadInputError
from features.commands import features as of_the_room
from features.config import FeaturesConfig
from streams.commands.options import watched
from streams.commands.rebuild import rebuild


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, show_default=True, help="Loopback port; 0 chooses a free one."
)
@watched
def writer(port: int, metrics_host: str, metrics_port: int) -> None:
    """Own the SQLite file: the one process through which all workers write. Runs until interrupted.

    \b
    Example:
      precedent features writer --port 0
    """
    from features.online.owner import Owner, owned
    from streams.watching.logs import log_to_stderr
    from streams.watching.serving import serve_metrics
    from streams.writing import WriterMetrics

    config = FeaturesConfig.from_environment(os.environ)
    if config.redis_url is not None:
        msg = f"online store == {config.shown_online!r}, must be sqlite:///PATH: Redis needs no writer of its own"
        raise BadInputError(msg)
    log_to_stderr("features writer", os.environ, level=logging.INFO)
    metrics = WriterMetrics()

    async def serve(answers_at: str) -> None:
        def ready(address: str) -> None:
            metrics.readiness.has("listener")
            about = {"part": "features writer", "address": address, "store": str(config.sqlite_path)}
            click.echo(json.dumps(about | {"metrics": answers_at}))

        def end() -> None:
            metrics.readiness.drain()
            stop.set()

        stop = asyncio.Event()
        for signum in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(signum, end)
        await Owner(tables, metrics).serve(stop, port=port, ready=ready)

    with (
        owned(config.sqlite_path) as tables,
        closing(serve_metrics(metrics, host=metrics_host, port=metrics_port)) as server,
    ):
        asyncio.run(serve(server.address))


features = click.Group(
    "features", help=of_the_room.help, commands={**of_the_room.commands, "rebuild": rebuild, "writer": writer}
)
