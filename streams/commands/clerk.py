"""`precedent clerk`: verdicts, reports and appeals in, cases, rulings and casebooks out."""

import asyncio
import os
from pathlib import Path

import click

from streams.commands.foreground import broker_and_warehouse, ready
from streams.commands.options import session_timeout, watched


@click.command()
@click.option(
    "--docket",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="PRECEDENT_DOCKET",
    default=Path(".state/docket"),
    show_default=True,
    help="folder of the register of cases [PRECEDENT_DOCKET]",
)
@watched
@click.option(
    "--days", type=click.FloatRange(0, 90, min_open=True), default=7.0, show_default=True, help="that reports count"
)
@click.option(
    "--decoders", type=click.IntRange(1, 64), default=1, show_default=True, help="processes that decode media"
)
@click.option(
    "--pace",
    type=click.FloatRange(0, 100, min_open=True),
    default=1.0,
    show_default=True,
    help="multiplies the time between rounds",
)
@click.option(
    "--publish/--no-publish", "publishes", default=True, show_default=True, help="let rulings become precedents"
)
@click.option(
    "--defer-lag",
    type=click.IntRange(2),
    default=2_000,
    show_default=True,
    help="uploads not scored yet beyond which no video is scored again: first scores go first",
)
@click.option("--advance", "advances", is_flag=True, help="give a candidate release that showed enough its next seat")
@session_timeout("clerk")
def clerk(
    docket: Path,
    metrics_host: str,
    metrics_port: int,
    days: float,
    decoders: int,
    pace: float,
    defer_lag: int,
    session_timeout: float,
    *,
    publishes: bool,
    advances: bool,
) -> None:
    """Open cases, have videos scored again with their feedback, announce and publish rulings until SIGINT or SIGTERM.

    One clerk works on a docket. A part that is away is waited for, with an ALERT in the log; the other duties go on.
    PRECEDENT_BROKER, _WAREHOUSE, _DOCKET, _RELEASES and _MEDIA_ROOTS say where things are. PRECEDENT_AUDIT_SALT is the
    secret of the random audit; without it one is made and kept in the docket's folder.

    \b
    Example:
      PRECEDENT_BROKER=127.0.0.1:9092 PRECEDENT_WAREHOUSE=http://u:p@127.0.0.1:8123/precedent precedent clerk
    """
    from policy.docket.docket import Docket
    from streams.clerk.assemble import ClerkConfig, assemble
    from streams.clerk.duties.shedding import SheddingSettings
    from streams.clerk.duties.weighing import WindowSettings
    from streams.clerk.notebook import Notebook, audit_salt
    from streams.clerk.run import run_clerk
    from streams.kafka.agents import AgentConfig, use_fast_loop
    from streams.settings import StreamSettings
    from streams.watching.logs import log_to_stderr

    log_to_stderr("clerk", os.environ)
    settings = StreamSettings.from_environment()
    broker, address = broker_and_warehouse()
    register = Docket(docket)
    notebook = Notebook(docket)
    config = ClerkConfig(
        audit_salt(docket, os.environ),
        pace=pace,
        window=WindowSettings(days=days),
        shedding=SheddingSettings(lag_events=defer_lag),
        decoders=decoders,
    )

    async def run() -> None:
        assembly = assemble(
            config,
            broker=broker,
            warehouse=address,
            docket=register,
            notebook=notebook,
            folder=docket,
            releases=settings.releases,
            media_roots=settings.media_folders,
            publishes=publishes,
            advances=advances,
            workers=settings.group,
        )
        await run_clerk(
            AgentConfig(
                broker,
                "precedent-clerk",
                take_max=200,
                take_within_s=0.2,
                session_timeout_s=session_timeout,
            ),
            assembly,
            metrics_host=metrics_host,
            metrics_port=metrics_port,
            ready=lambda at: ready("clerk", at, metrics=at),
        )

    use_fast_loop()
    asyncio.run(run())
