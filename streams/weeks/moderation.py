"""A day's impressions and reports in, tomorrow's toxicity features and removals out, by the real policy code.

    new uploads -> verdicts of each arm's release -> features
    reports -> weighed -> cases -> the reviewers' budget, most harmful first -> rulings: the video removed, or cleared
                                        -> precedents, published overnight -> every few nights a refreshed release

A ruling acts on its video in every arm. What is learned from it acts in the learning arm alone: the frozen one keeps
the release and casebook of the first day.
"""

from collections.abc import Callable, Mapping, Sequence
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
from policy.cases.priority import by_priority, impressions_to_come
from policy.cases.reliability import reliabilities
from policy.cases.report_rate import ReportRate, report_rates
from policy.train import Policy
from simulation.platform.day import Day
from simulation.platform.population import Population
from simulation.platform.sessions.feeds import Served
from streams.weeks.contents import Contents
from streams.weeks.judging import Judge
from streams.weeks.scenario import Scenario
from warehouse.feedback import Report, ReporterRecord, VideoFeedback

FROZEN, LEARNING = 0, 1
_AT_ONCE = 512
Refresh = Callable[[Policy, Sequence[Evidence], Sequence[Evidence]], Policy]
"""The parent, what taught it, and what was decided since, in; the next policy out."""


class Reviewer(Protocol):
    """Rules on cases, and errs now and then."""

    def __call__(self, case_id: str, truth: Category, /, about: Category | None = None) -> Category: ...


@dataclass(slots=True)
class Rulings:
    """What was ruled on M videos, when, and the evidence that it makes."""

    category_of: dict[int, Category] = field(default_factory=dict)
    at: dict[int, datetime] = field(default_factory=dict)
    decided: list[Evidence] = field(default_factory=list)
    wrong: int = 0


class LearningModeration:
    """A `Moderation` with a frozen and a learning arm; `learns` False keeps both frozen."""

    def __init__(
        self,
        population: Population,
        scenario: Scenario,
        first: Judge,
        reviewer: Reviewer,
        refresh: Refresh,
        *,
        learns: bool = True,
    ) -> None:
        n = len(population.videos)
        self._population, self._scenario, self._reviewer, self._refresh = population, scenario, reviewer, refresh
        self._contents = Contents(population)
        self._frozen, self.learning = first, Judge(first.policy, first.settings, first.version, first.taught)
        self._learns = learns
        self._feature = np.full((2, n), np.nan, np.float32)
        self._removed, self._cleared = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        self._seen: list[npt.NDArray[np.int64]] = []
        self._reported: dict[int, dict[int, datetime]] = {}
        self._waiting: dict[str, tuple[CaseOpened, int]] = {}
        self._rescore: set[int] = set()
        self.rulings = Rulings()
        self.opened = 0
        self.refreshed_on: list[int] = []

    def serve(self, day: int) -> Served:
        """Judge what was uploaded since yesterday, and again what was reported, by each arm's release."""
        videos, life = self._population.videos, self._population.settings.videos.life_days
        new = np.flatnonzero(
            (videos.uploaded_on_M <= day)
            & (videos.uploaded_on_M > day - life)
            & np.isnan(self._feature[FROZEN])
            & ~np.isnan(videos.score_M)  # some are served before their verdict is there
        )
        again = np.array(sorted(self._rescore - set(new.tolist())), np.int64)
        self._score(FROZEN, self._frozen, new)
        if day < self._scenario.pre_days or not self._learns:
            self._feature[LEARNING] = self._feature[FROZEN]
        else:
            self._score(LEARNING, self.learning, np.concatenate([new, again]))
        self._rescore.clear()
        self._feature[:, self._cleared] = self._population.settings.feedback.cleared_toxicity
        return Served(self._feature.copy(), self._removed.copy(), (self._frozen.version, self.learning.version))

    def close_day(self, today: Day) -> None:
        """Weigh the reports, open cases, rule within the budget, publish, and refresh on its nights."""
        videos, life = self._population.videos, self._population.settings.videos.life_days
        self._seen = [*self._seen[1 - life :], np.bincount(today.video_I, minlength=len(videos))]
        self._take_reports(today)
        now = self._midnight(today.day + 1)
        alive = (videos.uploaded_on_M <= today.day) & (videos.uploaded_on_M > today.day + 1 - life)
        rates = self._rates(now, alive)
        fresh = np.flatnonzero(alive & (videos.uploaded_on_M == today.day))
        asked = sorted({*fresh.tolist(), *rates} - set(self.rulings.category_of))
        self._open([row for row in asked if alive[row]], rates, now)
        self._rule(now, alive)
        if self._learns and today.day + 1 >= self._scenario.pre_days:
            self._learn(today.day)

    def _score(self, arm: int, judge: Judge, rows: npt.NDArray[np.int64]) -> None:
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            self._feature[arm, some] = judge.toxicity(judge.read(self._contents.uploads(some)))

    def _take_reports(self, today: Day) -> None:
        told = np.flatnonzero(today.reported_I)
        for video, who, ms in zip(
            today.video_I[told].tolist(),
            today.viewers_of_impressions[told].tolist(),
            today.shown_ms_I[told].tolist(),
            strict=True,
        ):
            said_at = self._midnight(today.day) + timedelta(milliseconds=ms)
            self._reported.setdefault(video, {}).setdefault(who, said_at)
            self._rescore.add(video)

    def _rates(self, now: datetime, alive: npt.NDArray[np.bool_]) -> Mapping[int, ReportRate]:
        """The posterior of the report rate of every video that was reported, by its row."""
        shown = np.sum(self._seen, axis=0)
        rows = [row for row in self._reported if alive[row] or row in self.rulings.category_of]
        feedback = [
            VideoFeedback(
                str(row),
                int(shown[row]),
                tuple(Report(f"u{who}", said_at) for who, said_at in sorted(self._reported[row].items())),
                self.rulings.category_of.get(row),
            )
            for row in rows
        ]
        weighed = weigh_reports(feedback, reliabilities(self._records())).videos
        return dict(zip(rows, report_rates(weighed), strict=True))

    def _records(self) -> list[ReporterRecord]:
        upheld: dict[str, list[int]] = {}
        for row, category in self.rulings.category_of.items():
            for who, said_at in self._reported.get(row, {}).items():
                if said_at < self.rulings.at[row]:
                    upheld.setdefault(f"u{who}", [0, 0])[category is Category.POSITIVE] += 1
        return [ReporterRecord(who, *counts) for who, counts in sorted(upheld.items())]

    def _open(self, rows: Sequence[int], rates: Mapping[int, ReportRate], now: datetime) -> None:
        judge = self.learning if self._learns else self._frozen
        uploads = self._contents.uploads(rows)
        row_of = {upload.video_id: row for upload, row in zip(uploads, rows, strict=True)}
        verdicts = judge.verdicts(uploads, judge.read(uploads), now=now) if uploads else []
        opened = open_cases(
            verdicts,
            {upload.video_id: rates[row] for upload, row in zip(uploads, rows, strict=True) if row in rates},
            lines={judge.version: judge.line},
            now=now,
            already=self._waiting.keys(),
        )
        held = {row for _, row in self._waiting.values()}
        for case in opened:
            if (row := row_of[case.video_id]) not in held:
                self._waiting[case.case_id] = case, row
                self.opened += 1

    def _rule(self, now: datetime, alive: npt.NDArray[np.bool_]) -> None:
        """The most harmful cases that the reviewers get through; what is no longer shown is let go."""
        self._waiting = {name: one for name, one in self._waiting.items() if alive[one[1]]}
        shown, over = np.sum(self._seen, axis=0), timedelta(days=len(self._seen))
        to_come = {case.video_id: impressions_to_come(int(shown[row]), over) for case, row in self._waiting.values()}
        ranked = by_priority((case for case, _ in self._waiting.values()), to_come)
        for one in ranked[: self._scenario.rulings_a_day]:
            _, row = self._waiting.pop(one.case.case_id)
            truth = CATEGORIES[self._population.videos.category_M[row]]
            found = self._reviewer(one.case.case_id, truth, self._contents.about(row))
            self.rulings.wrong += found is not truth
            self.rulings.category_of[row], self.rulings.at[row] = found, now
            (self._removed if found is not Category.POSITIVE else self._cleared)[row] = True
            case = DecidedCase(
                case_id=one.case.case_id, upload=self._contents.uploads([row])[0], category=found, decided_at=now
            )
            self.rulings.decided.append(Evidence(case, None))

    def _learn(self, day: int) -> None:
        nights = day + 1 - self._scenario.pre_days
        if nights % self._scenario.nights_between == 0:
            decided = tuple(self.rulings.decided)
            known = {item.case.case_id for item in self.learning.taught}
            news = [item for item in decided if item.case.case_id not in known]
            if news:
                policy = self._refresh(self.learning.policy, self.learning.taught, news)
                taught = (*self.learning.taught, *news)
                self.learning = Judge(policy, self.learning.settings, self.learning.version + 1, taught)
                self.refreshed_on.append(day)
                return
        known = {item.case.case_id for item in self.learning.taught}
        self.learning.publish([item for item in self.rulings.decided if item.case.case_id not in known])

    def _midnight(self, day: int) -> datetime:
        begins = self._population.plan.begins
        return datetime(begins.year, begins.month, begins.day, tzinfo=UTC) + timedelta(days=day)
