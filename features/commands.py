"""`precedent features`: look videos up, hold online against offline, register the definitions.

`precedent features` is these and what `streams` adds: the SQLite file's owner, and the store's rebuilding.
"""

import json
import os
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


def _check_ids(video_ids: tuple[str, ...]) -> None:
    from contracts.records import is_id

    if strangers := [video_id for video_id in video_ids if not is_id(video_id)]:
        raise BadInputError(f"VIDEO_ID == {strangers[0]!r}, must be 1 to 128 of letters, digits and _ . : -")
