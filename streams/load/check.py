"""A ledger and what the system kept in, what is lost, repeated, out of order, stale or wrong out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from streams.load.ledger import Ledger
from streams.load.plan import Kind

NEW = (Kind.TEXT, Kind.MEDIA)
JUDGED = (*NEW, Kind.UPDATE, Kind.LATE)
"""Kinds that have a verdict of their own."""
EXAMPLES = 5


class KeptFeatures(Protocol):
    """When the version of each video that is readable came to be, in microseconds since 1970; 0 where there is none."""

    def __call__(self, video_ids: Sequence[str]) -> npt.NDArray[np.int64]: ...


class KeptRows(Protocol):
    """What the warehouse holds of a run, by event id or video id."""

    def verdicts(self) -> "Rows": ...
    def uploads(self) -> "Rows": ...
    def reports(self) -> "Rows": ...
    def reports_by_video(self) -> dict[str, int]: ...


@dataclass(frozen=True, slots=True)
class Rows:
    """How many rows each event has, as everybody reads them, and how many lie there before they are merged."""

    by_event: dict[str, int]
    raw: int


@dataclass(slots=True)
class Findings:
    """Counts of what the checker found; `examples` names a few events of each finding.

    lost: without verdict and letter, though the broker had confirmed them. unconfirmed: the broker never said that it
    has them. repeated_verdicts: copies on the topic beyond one for each time that the event was sent: delivery is at
    least once. Everything else must be 0.
    """

    lost: int = 0
    unconfirmed: int = 0
    repeated_verdicts: int = 0
    reordered: int = 0
    wrong_letters: int = 0
    missing_features: int = 0
    stale_features: int = 0
    missing_rows: int = 0
    repeated_rows: int = 0
    wrong_sums: int = 0
    examples: dict[str, list[str]] = field(default_factory=dict)

    def found(self, name: str, ids: Sequence[str]) -> None:
        """Count the events `ids` as `name`."""
        setattr(self, name, getattr(self, name) + len(ids))
        if ids:
            self.examples[name] = [*self.examples.get(name, []), *ids][:EXAMPLES]


def check_topics(ledger: Ledger) -> Findings:
    """What the topics showed: verdicts and letters, each once and in order."""
    plan, rows, drawn = ledger.plan, ledger.rows, ledger.drawn
    kind, of = drawn.kind_N, drawn.speaks_of_N
    confirmed = ~np.isnan(rows["confirmed_s"])
    judged = np.isin(kind, JUDGED)
    findings = Findings()

    def found(name: str, which_N: npt.NDArray[np.bool_]) -> None:
        findings.found(name, [plan.event_id(int(number)) for number in np.flatnonzero(which_N)])

    found("unconfirmed", ~confirmed & ~np.isnan(rows["sent_s"]))
    settled = (rows["verdicts"] > 0) | (rows["letters"] > 0)
    found("lost", confirmed & ~settled & (judged | (kind == Kind.POISON)))
    times_sent = judged.astype(np.int64)
    np.add.at(times_sent, of[kind == Kind.REPEAT], 1)
    findings.repeated_verdicts = int(np.maximum(rows["verdicts"].astype(np.int64) - times_sent, 0)[judged].sum())
    found("wrong_letters", _wrong_letters(ledger))
    found("reordered", _reordered(ledger))
    return findings


def _wrong_letters(ledger: Ledger) -> npt.NDArray[np.bool_]:
    """Poison with a verdict or for another reason, and sound events, films among them, with a letter."""
    rows, kind = ledger.rows, ledger.drawn.kind_N
    wrong: npt.NDArray[np.bool_] = np.where(
        kind == Kind.POISON, (rows["wrong_reasons"] > 0) | (rows["verdicts"] > 0), rows["letters"] > 0
    )
    return wrong


def _reordered(ledger: Ledger) -> npt.NDArray[np.bool_]:
    """Versions of a text video of which a verdict came on the wrong side of one of a version that was sent earlier.

    Their first verdicts come in the order of sending. So do their last ones, for all that is delivered once more is
    delivered from somewhere on: an older one at the end is what whoever keeps the last one keeps. Not so where the
    older version was itself sent again.
    """
    rows, drawn = ledger.rows, ledger.drawn
    numbers = np.flatnonzero(np.isin(drawn.kind_N, (Kind.TEXT, Kind.UPDATE, Kind.LATE)) & (rows["verdicts"] > 0))
    order = numbers[np.lexsort((numbers, drawn.speaks_of_N[numbers]))]  # by video, then as they were sent
    reordered = np.zeros(len(rows), np.bool_)
    same = drawn.speaks_of_N[order[1:]] == drawn.speaks_of_N[order[:-1]]
    sooner = rows["place"][order[1:]] < rows["place"][order[:-1]]
    again = np.isin(order[:-1], drawn.speaks_of_N[drawn.kind_N == Kind.REPEAT])
    outlived = (rows["last_place"][order[1:]] < rows["last_place"][order[:-1]]) & ~again
    reordered[order[1:][same & (sooner | outlived)]] = True
    return reordered


def check_features(ledger: Ledger, kept: KeptFeatures, findings: Findings, *, chunk: int = 500) -> None:
    """Every video that has a verdict has features, and of its newest version."""
    plan, rows, drawn = ledger.plan, ledger.rows, ledger.drawn
    versions = np.flatnonzero(np.isin(drawn.kind_N, (*NEW, Kind.UPDATE)) & (rows["verdicts"] > 0))
    newest_us: dict[int, int] = {}
    for number in versions.tolist():  # in the order of sending: a later version is a newer one
        newest_us[int(drawn.speaks_of_N[number])] = round(float(rows["intended_s"][number]) * 1e6)
    videos = sorted(newest_us)
    for first in range(0, len(videos), chunk):
        some = videos[first : first + chunk]
        kept_us = kept([plan.event_id(video) for video in some]).tolist()
        off_us = [have - newest_us[video] for video, have in zip(some, kept_us, strict=True)]
        findings.found(
            "missing_features", [plan.event_id(v) for v, have in zip(some, kept_us, strict=True) if not have]
        )
        findings.found(
            "stale_features",
            # an event's time is kept in microseconds, of which a float of seconds has a few too many or too few
            [plan.event_id(v) for v, have, off in zip(some, kept_us, off_us, strict=True) if have and abs(off) > 1],
        )


def settled_rows(
    ledger: Ledger,
    kept: KeptRows,
    findings: Findings,
    *,
    within_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """As `check_rows`, as soon as all rows are there, or after `within_s`: who copies them is a moment behind."""
    until = clock() + within_s
    while True:
        seen = Findings()
        check_rows(ledger, kept, seen)
        if not (seen.missing_rows or seen.wrong_sums) or clock() >= until:
            for name in ("missing_rows", "repeated_rows", "wrong_sums"):
                setattr(findings, name, getattr(seen, name))
            findings.examples |= seen.examples
            return
        sleep(1.0)


def check_rows(ledger: Ledger, kept: KeptRows, findings: Findings) -> None:
    """Every verdict, upload and report is a row once, and the daily sums count each report once."""
    plan, rows, drawn = ledger.plan, ledger.rows, ledger.drawn
    judged = np.isin(drawn.kind_N, JUDGED)
    reports = np.flatnonzero((drawn.kind_N == Kind.REPORT) & ~np.isnan(rows["confirmed_s"]))
    expected: list[tuple[Rows, Any]] = [
        (kept.verdicts(), np.flatnonzero(judged & (rows["verdicts"] > 0))),
        (kept.uploads(), np.flatnonzero(judged & ~np.isnan(rows["confirmed_s"]))),
        (kept.reports(), reports),
    ]
    for table, numbers in expected:
        ids = [plan.event_id(int(number)) for number in numbers]
        findings.found("missing_rows", [one for one in ids if one not in table.by_event])
        findings.found("repeated_rows", [one for one, n in table.by_event.items() if n > 1])
        findings.found("wrong_sums", sorted(set(table.by_event) - set(ids)))  # rows of what was never sent
    videos, counts = np.unique(drawn.speaks_of_N[reports], return_counts=True)
    wanted = {plan.event_id(int(video)): int(n) for video, n in zip(videos, counts, strict=True)}
    summed = kept.reports_by_video()
    wrong = {video for video in wanted.keys() | summed.keys() if wanted.get(video) != summed.get(video)}
    findings.found("wrong_sums", sorted(wrong))
