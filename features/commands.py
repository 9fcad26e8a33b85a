"""`precedent features`: look videos up, hold online against offline, register the definitions, own the SQLite file."""

import asyncio
import json
import logging
import os
import signal
import sys
from datetime import UTC, datetime

import click

from contracts.errors import BadInputError
from features.config import FeaturesConfig


@click.group()
def features() -> None:
    """Online features of videos, authors and viewers. Addresses come from the environment.

    \b
    PRECEDENT_ONLINE_STORE     sqlite:///PATH, redis://[[USER]:PASSWORD@]HOST:PORT[/DB], or rediss://… with TLS;
                               PRECEDENT_ONLINE_STORE_FILE names a file that holds it
    PRECEDENT_OFFLINE_STORE    parquet:///FOLDER or http://USER:PASSWORD@HOST:PORT/DATABASE; else PRECEDENT_WAREHOUSE
    PRECEDENT_FEATURES_WRITER  HOST:PORT of the process that owns the SQLite file

    \b
    Example:
      precedent features lookup video-1 video-2
    """


@features.command()
@click.argument("video_ids", nargs=-1, required=True)
def lookup(video_ids: tuple[str, ...]) -> None:
    """Print what is known of each VIDEO_ID as a JSON line, with its state: fresh, expired or unknown.

    \b
    Example:
      precedent features lookup video-1 video-2
    """
    from features.lookup import lookup as look_up
    from features.store import open_store

    _check_ids(video_ids)
    found = look_up(open_store(FeaturesConfig.from_environment(os.environ)), video_ids, datetime.now(UTC))
    for line in found.to_dicts():
        click.echo(json.dumps(line))


@features.command()
def apply() -> None:
    """Register entities, feature views and sources with Feast, and make the online tables.

    \b
    Example:
      precedent features apply
    """
    from features.store import open_store

    store = open_store(FeaturesConfig.from_environment(os.environ))
    store.apply()
    click.echo(json.dumps({"registry": str(store.config.registry_path), "views": sorted(store.views)}))


@features.command()
@click.argument("video_ids", nargs=-1)
@click.option("--sample", type=click.IntRange(1), default=500, show_default=True, help="Videos, where none is named.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON document.")
def parity(video_ids: tuple[str, ...], sample: int, seed: int, as_json: bool) -> None:
    """Hold what the ranker reads online against what training reads offline; exit code 1 when they drift apart.

    Compares the named videos, or a sample of those of the last 24 hours, as both stores have them now.

    \b
    Example:
      precedent features parity --sample 500
    """
    from contracts.errors import CheckFailedError
    from features.parity import ParityLimits, drift, lines_of, measure, to_document
    from features.store import open_store

    _check_ids(video_ids)
    store = open_store(FeaturesConfig.from_environment(os.environ))
    found = measure(store, sample=sample, seed=seed, now=datetime.now(UTC), video_ids=video_ids)
    click.echo(json.dumps(to_document(found)) if as_json else "\n".join(lines_of(found)))
    if reasons := drift(found, ParityLimits()):
        raise CheckFailedError("; ".join(reasons))


@features.command()
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, show_default=True, help="Loopback port; 0 chooses a free one."
)
def writer(port: int) -> None:
    """Own the SQLite file: the one process through which all workers write. Runs until interrupted.

    \b
    Example:
      precedent features writer --port 0
    """
    from features.online.owner import Owner, owned

    config = FeaturesConfig.from_environment(os.environ)
    if config.redis_url is not None:
        msg = f"online store == {config.shown_online!r}, must be sqlite:///PATH: Redis needs no writer of its own"
        raise BadInputError(msg)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    def ready(address: str) -> None:
        click.echo(json.dumps({"part": "features writer", "address": address, "store": str(config.sqlite_path)}))
        sys.stdout.flush()

    async def serve() -> None:
        stop = asyncio.Event()
        for signum in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(signum, stop.set)
        await Owner(tables).serve(stop, port=port, ready=ready)

    with owned(config.sqlite_path) as tables:
        asyncio.run(serve())


def _check_ids(video_ids: tuple[str, ...]) -> None:
    from contracts.records import is_id

    if strangers := [video_id for video_id in video_ids if not is_id(video_id)]:
        raise BadInputError(f"VIDEO_ID == {strangers[0]!r}, must be 1 to 128 of letters, digits and _ . : -")
