"""One arm's verdicts and its own viewers' reports in, rulings within its share of the reviewers' budget out.

    reports -> weighed -> cases -> most harmful first, the audit's in their turns -> rulings

A desk is an arm's half of the platform's reviewers, as a budget-split experiment has it (Liu et al., Trustworthy Online
Marketplace Experimentation with Budget-split Design, KDD 2021): were there one queue, the better-aimed cases of one
arm would also clean the other's feed, and what is measured would be too small. What is ruled is shared, for no platform
leaves a video that was found violative before half of its viewers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy as np
import numpy.typing as npt

from contracts.cases import CaseOpened, DecidedCase
from contracts.taxonomy import CATEGORIES, Category
from policy.casebook import Evidence
from policy.cases.coordination import weigh_reports
from policy.cases.opening import open_cases
from policy.cases.priority import by_priority, impressions_to_come, in_turn
from policy.cases.reliability import reliabilities
from policy.cases.report_rate import ReportRate, report_rates
from simulation.platform.day import Day
from simulation.platform.population import Population
from streams.weeks.contents import Contents
from streams.weeks.judging import Judge
from warehouse.feedback import Report, ReporterRecord, VideoFeedback


class Reviewer(Protocol):
    """Rules on cases, and errs now and then."""

    def __call__(self, case_id: str, truth: Category, /, about: Category | None = None) -> Category: ...


@dataclass(slots=True)
class Rulings:
    """What was ruled on videos by either desk, when, and the evidence that it makes."""

    category_of: dict[int, Category] = field(default_factory=dict)
    at: dict[int, datetime] = field(default_factory=dict)
    decided: list[Evidence] = field(default_factory=list)
    wrong: int = 0


class Desk:
    """The reviewers of one arm, who get through `budget` cases a day; viewers_N says whose reports they read."""

    def __init__(
        self,
        population: Population,
        contents: Contents,
        reviewer: Reviewer,
        rulings: Rulings,
        viewers_N: npt.NDArray[np.bool_],
        *,
        budget: int,
    ) -> None:
        self._population, self._contents, self._reviewer = population, contents, reviewer
        self._rulings, self._viewers_N, self.budget = rulings, viewers_N, budget
        self._seen: list[npt.NDArray[np.int64]] = []
        self._reported: dict[int, dict[int, datetime]] = {}
        self._waiting: dict[str, tuple[CaseOpened, int]] = {}
        self.opened: set[int] = set()
        self._ruled = 0

    def take(self, today: Day) -> set[int]:
        """Count what its viewers were shown and remember what they reported; returns these videos."""
        mine = self._viewers_N[today.viewers_of_impressions]
        n, life = len(self._population.videos), self._population.settings.videos.life_days
        self._seen = [*self._seen[1 - life :], np.bincount(today.video_I[mine], minlength=n)]
        told = np.flatnonzero(today.reported_I & mine)
        for video, who, ms in zip(
            today.video_I[told].tolist(),
            today.viewers_of_impressions[told].tolist(),
            today.shown_ms_I[told].tolist(),
            strict=True,
        ):
            said_at = midnight(self._population, today.day) + timedelta(milliseconds=ms)
            self._reported.setdefault(video, {}).setdefault(who, said_at)
        return set(today.video_I[told].tolist())

    def open(self, judge: Judge, fresh: Sequence[int], alive: npt.NDArray[np.bool_], now: datetime) -> None:
        """Open cases on what was uploaded today or reported, by the verdicts of the arm's release."""
        rates = self._rates(now, alive)
        rows = sorted(row for row in {*fresh, *rates} - set(self._rulings.category_of) if alive[row])
        uploads = self._contents.uploads(rows)
        row_of = {upload.video_id: row for upload, row in zip(uploads, rows, strict=True)}
        verdicts = judge.verdicts(uploads, judge.read(uploads), now=now) if uploads else []
        opened = open_cases(
            verdicts,
            {video_id: rates[row] for video_id, row in row_of.items() if row in rates},
            lines={judge.version: judge.line},
            now=now,
            already=self._waiting.keys(),
        )
        held = {row for _, row in self._waiting.values()}
        for case in opened:
            if (row := row_of[case.video_id]) not in held:
                self._waiting[case.case_id] = case, row
                self.opened.add(row)

    def rule(self, alive: npt.NDArray[np.bool_], now: datetime) -> None:
        """Rule on the most harmful cases, and the audit's; what is no longer shown, or was ruled on, is let go."""
        ruled = self._rulings.category_of
        self._waiting = {
            name: (case, row) for name, (case, row) in self._waiting.items() if alive[row] and row not in ruled
        }
        shown, over = np.sum(self._seen, axis=0), timedelta(days=len(self._seen))
        to_come = {case.video_id: impressions_to_come(int(shown[row]), over) for case, row in self._waiting.values()}
        ranked = [one.case for one in by_priority((case for case, _ in self._waiting.values()), to_come)]
        drawn = sorted((case for case in ranked if case.audited), key=_since)
        turns = in_turn(ranked, drawn, ruled=self._ruled, name=lambda case: case.case_id)[: self.budget]
        self._ruled += len(turns)
        for opened in turns:
            _, row = self._waiting.pop(opened.case_id)
            truth = CATEGORIES[self._population.videos.category_M[row]]
            found = self._reviewer(opened.case_id, truth, self._contents.about(row))
            self._rulings.wrong += found is not truth
            ruled[row], self._rulings.at[row] = found, now
            (upload,) = self._contents.uploads([row])
            waits = (other for other, _ in self._waiting.values() if other.audited)
            sampled = opened.audited if all(_since(opened) < _since(other) for other in waits) else 0.0
            case = DecidedCase(case_id=opened.case_id, upload=upload, category=found, sampled=sampled, decided_at=now)
            self._rulings.decided.append(Evidence(case, None))

    def _rates(self, now: datetime, alive: npt.NDArray[np.bool_]) -> Mapping[int, ReportRate]:
        """The posterior of the report rate of every video that was reported, by its row."""
        shown, ruled = np.sum(self._seen, axis=0), self._rulings.category_of
        rows = [row for row in self._reported if alive[row] or row in ruled]
        feedback = [
            VideoFeedback(
                str(row),
                int(shown[row]),
                tuple(Report(f"u{who}", said_at) for who, said_at in sorted(self._reported[row].items())),
                ruled.get(row),
            )
            for row in rows
        ]
        weighed = weigh_reports(feedback, reliabilities(self._records())).videos
        return dict(zip(rows, report_rates(weighed), strict=True))

    def _records(self) -> list[ReporterRecord]:
        upheld: dict[str, list[int]] = {}
        for row, category in self._rulings.category_of.items():
            for who, said_at in self._reported.get(row, {}).items():
                if said_at < self._rulings.at[row]:
                    upheld.setdefault(f"u{who}", [0, 0])[category is Category.POSITIVE] += 1
        return [ReporterRecord(who, *counts) for who, counts in sorted(upheld.items())]


def midnight(population: Population, day: int) -> datetime:
    """When a day of the run begins."""
    begins = population.plan.begins
    return datetime(begins.year, begins.month, begins.day, tzinfo=UTC) + timedelta(days=day)


def _since(case: CaseOpened) -> tuple[datetime, str]:
    """How long a case waits; those of one day come by chance."""
    return case.opened_at, case.case_id
