"""`precedent worker`: uploads in, verdicts and features out."""

import asyncio
import os
from pathlib import Path

import click

from features.config import FeaturesConfig
from streams.commands.foreground import ready
from streams.commands.options import session_timeout, watched


@click.command()
@click.option("--releases", type=click.Path(file_okay=False, path_type=Path), default=None, help="PRECEDENT_RELEASES")
@watched
@click.option(
    "--take", type=click.IntRange(1, 100_000), default=256, show_default=True, help="largest batch, in events"
)
@click.option(
    "--within-ms",
    type=click.FloatRange(0, 60_000),
    default=50.0,
    show_default=True,
    help="longest wait for a batch to fill",
)
@click.option(
    "--decoders", type=click.IntRange(1, 256), default=1, show_default=True, help="processes that decode media"
)
@session_timeout("worker")
@click.option("--in-process", is_flag=True, help="score by ONNX Runtime in this process, without Triton")
def worker(
    releases: Path | None,
    metrics_host: str,
    metrics_port: int,
    take: int,
    within_ms: float,
    decoders: int,
    session_timeout: float,
    *,
    in_process: bool,
) -> None:
    """Moderate uploads until SIGINT or SIGTERM; start several for more: they share the topic's partitions.

    The ready line is printed when the release pointer's models are ready and the group gave out partitions.
    PRECEDENT_BROKER, _TRITON, _RELEASES, _MEDIA_ROOTS, _ONLINE_STORE and _FEATURES_WRITER say where things are.

    \b
    Example:
      PRECEDENT_BROKER=127.0.0.1:9092 PRECEDENT_TRITON=127.0.0.1:8001 precedent worker --releases .state/releases
    """
    from streams.kafka.agents import AgentConfig, use_fast_loop
    from streams.kafka.connection import Connection
    from streams.settings import StreamSettings
    from streams.watching.logs import log_to_stderr
    from streams.watching.traces import tracing_in
    from streams.worker.assemble import assemble, make_scorer
    from streams.worker.follower import judging
    from streams.worker.run import run_worker

    context = log_to_stderr("worker", os.environ)
    tracing = tracing_in(os.environ, "worker")
    settings = StreamSettings.from_environment(releases=releases)
    broker = Connection.from_environment(os.environ)
    config = AgentConfig(
        broker=broker,
        group=settings.group,
        take_max=take,
        take_within_s=within_ms / 1000.0,
        session_timeout_s=session_timeout,
    )

    async def run() -> None:
        scorer = make_scorer(settings.releases, None if in_process else settings.triton)
        assembly = assemble(
            scorer,
            FeaturesConfig.from_environment(os.environ),
            broker=broker,
            releases=settings.releases,
            media_roots=settings.media_folders,
            decoders=decoders,
        )
        context.follow(lambda: judging(assembly.follower.policy))
        await run_worker(
            config,
            assembly,
            metrics_host=metrics_host,
            metrics_port=metrics_port,
            ready=lambda address: ready("worker", address, metrics=address),
            tracing=tracing,
        )

    use_fast_loop()
    asyncio.run(run())
