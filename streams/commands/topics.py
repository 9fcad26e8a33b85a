"""`precedent topics`: what the cluster has to have of topics, declared or only checked."""

import json
import os
from typing import TYPE_CHECKING

import click

from contracts.errors import CheckFailedError

if TYPE_CHECKING:
    from streams.kafka.declaring import Cluster
    from streams.kafka.topics import Lack

PARTITIONS = click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    default=12,
    show_default=True,
    help="at least, of uploads, verdicts and impressions; of the others a part of that",
)


@click.group()
def topics() -> None:
    """Declare the topics of a Kafka cluster: partitions, copies, retention, cleanup.

    The declaration is a floor: what a cluster has beyond it stays, and nothing is ever shrunk or dropped.
    PRECEDENT_BROKER and PRECEDENT_KAFKA_* say where it is and who we are.

    \b
    Example:
      PRECEDENT_BROKER=127.0.0.1:9092 precedent topics declare
    """


@topics.command()
@PARTITIONS
def declare(partitions: int) -> None:
    """Create the topics that are missing and mend those that lack something; doing it again changes nothing.

    From three brokers on each record has three copies, two of which must be written before it is confirmed. Exit
    code 1 where something is left that only a person can decide.

    \b
    Example:
      precedent topics declare --partitions 24
    """
    cluster = _cluster()
    lack = cluster.lack(partitions=partitions)
    cluster.mend(lack)
    click.echo(json.dumps({"declared": len(cluster.wanted()), **_told(lack)}))
    if lack.unmendable:
        raise CheckFailedError(_first_of(lack))


@topics.command()
@PARTITIONS
def check(partitions: int) -> None:
    """Say what the cluster lacks of the declaration, without touching it; exit code 1 where it lacks something.

    \b
    Example:
      precedent topics check
    """
    lack = _cluster().lack(partitions=partitions)
    click.echo(json.dumps(_told(lack)))
    if lack:
        raise CheckFailedError(_first_of(lack))


def _cluster() -> "Cluster":
    from streams.kafka.connection import Connection
    from streams.kafka.declaring import Cluster

    return Cluster(Connection.from_environment(os.environ))


def _told(lack: "Lack") -> dict[str, object]:
    return {
        "missing": [one.name for one in lack.topics],
        "partitions": dict(lack.partitions),
        "settings": {name: dict(settings) for name, settings in lack.settings.items()},
        "for_a_person": list(lack.unmendable),
    }


def _first_of(lack: "Lack") -> str:
    if lack.unmendable:
        more = len(lack.unmendable) - 1
        return lack.unmendable[0] + (f" (and {more} more)" if more else "")
    if lack.topics:
        return f"{lack.topics[0].name} is missing ({len(lack.topics)} topics are): `precedent topics declare`"
    differing = [*lack.partitions, *lack.settings]
    return f"{differing[0]} has less than is declared ({len(set(differing))} topics): `precedent topics declare`"
