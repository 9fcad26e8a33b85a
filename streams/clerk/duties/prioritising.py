"""Waiting cases and what their videos are seen by now in, the harm to expect of each on the docket out."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from contracts.cases import CaseOpened
from policy.cases.priority import by_priority, impressions_to_come

RECENT = timedelta(days=1)
"""Impressions of so long say how many are still to come."""


class Waiting(Protocol):
    """A case on the docket that nobody has ruled on."""

    @property
    def opened(self) -> CaseOpened: ...


class Docket(Protocol):
    """The part of a docket that prioritising uses."""

    def waiting(self, *, at_most: int) -> Sequence[Waiting]: ...
    def weigh(self, harm: Mapping[str, float], *, now: datetime) -> None: ...


class Impressions(Protocol):
    """How often videos were shown; raises `DependencyError`."""

    def impressions(self, video_ids: Collection[str], *, since: datetime, as_of: datetime) -> Mapping[str, int]: ...


def prioritise(docket: Docket, archive: Impressions, *, now: datetime, at_most: int = 5_000) -> int:
    """Put the expected harm of the waiting cases on the docket, by their impressions of the last day; returns how many.

    The first `at_most` in the order known before are looked at: new ones come in with what their evidence says.
    """
    cases = [file.opened for file in docket.waiting(at_most=at_most)]
    counts = archive.impressions({case.video_id for case in cases}, since=now - RECENT, as_of=now)
    to_come = {video: impressions_to_come(count, RECENT) for video, count in counts.items()}
    ranked = by_priority([case for case in cases if case.evidence is not None], to_come)
    docket.weigh({one.case.case_id: one.expected_harm for one in ranked}, now=now)
    return len(ranked)
