"""Verdicts as they were given in, what the parent itself had decided of recent uploads out: by event id."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from contracts.lines import read_lines
from contracts.releases import Pin
from contracts.verdicts import Decision, Verdict


class Recorded(NamedTuple):
    """Decisions of one pin by event id, and how many verdicts are not among them.

    by_others: on the same uploads by another release or casebook. elsewhere: on uploads that were not asked about.
    """

    decisions: dict[str, Decision]
    by_others: int
    elsewhere: int

    @property
    def figures(self) -> dict[str, float]:
        """What was taken from the file, for the gate's figures."""
        return {
            "recorded_by_parent": float(len(self.decisions)),
            "recorded_by_others": float(self.by_others),
            "recorded_elsewhere": float(self.elsewhere),
        }


def read_recorded(path: Path, pin: Pin, event_ids: Collection[str]) -> Recorded:
    """What the release and casebook of `pin` decided of these uploads, by a file of `Verdict` records.

    Of two verdicts on one event the one that was scored later counts. Raises `BadInputError` naming file and line.
    """
    asked = frozenset(event_ids)
    ours = dict[str, Verdict]()
    by_others = elsewhere = 0
    for verdict in read_lines(path, Verdict):
        if verdict.event_id not in asked:
            elsewhere += 1
        elif (verdict.release_version, verdict.casebook_version) != (pin.release_version, pin.casebook_version):
            by_others += 1
        else:
            earlier = ours.get(verdict.event_id, verdict)
            ours[verdict.event_id] = max(earlier, verdict, key=lambda one: one.scored_at)
    return Recorded({event_id: one.decision for event_id, one in ours.items()}, by_others, elsewhere)
