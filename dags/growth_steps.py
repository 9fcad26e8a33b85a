"""A function a task of `taxonomy_growth`: open what the settings name, call what the command calls, return little."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from contracts.errors import BadInputError
from dags.settings import DagSettings

if TYPE_CHECKING:
    from policy.docket.docket import Docket


def collect_unexplained() -> int:
    """What `precedent taxonomy propose` looks at first: how many recent rulings no leaf explains, 0 skips the rest.

    Fewer than a cluster needs are none.
    """
    from policy.growth.leaves.clusters import ClusterSettings
    from policy.growth.leaves.propose import look, unexplained_in
    from serving.releases import ReleasesRoot

    settings, rules = DagSettings.from_environment(), ClusterSettings()
    with _docket(settings) as docket:
        seen = look(ReleasesRoot(settings.releases), docket, rules, now=datetime.now(UTC))
    found = unexplained_in(seen)
    return found if found >= rules.least else 0


def propose_leaves() -> int:
    """`precedent taxonomy propose`: how many clusters were proposed now, 0 skips the rest."""
    from policy.growth.leaves.desk import Desk
    from policy.growth.leaves.propose import propose_by
    from serving.releases import ReleasesRoot

    settings = DagSettings.from_environment()
    with _docket(settings) as docket:
        desk, root = Desk(settings.taxonomy), ReleasesRoot(settings.releases)
        done = asyncio.run(propose_by(settings.llm, desk, root, docket, now=datetime.now(UTC)))
    return len(done.new)


def waiting_proposals() -> list[dict[str, Any]]:
    """`precedent taxonomy proposals --json`: what waits for a person, without the cases."""
    from policy.growth.leaves.desk import Desk

    return [
        {
            "proposal": one.proposal_id,
            "category": one.category.value,
            "name": one.name,
            "cases": len(one.members),
            "authors": one.authors,
        }
        for one in Desk(DagSettings.from_environment().taxonomy).waiting()
    ]


@contextmanager
def _docket(settings: DagSettings) -> "Iterator[Docket]":
    from policy.docket.docket import Docket

    if not settings.docket.is_dir():
        raise BadInputError(f"{settings.docket}: is not a docket, there is no such folder")
    docket = Docket(settings.docket)
    try:
        yield docket
    finally:
        docket.close()
