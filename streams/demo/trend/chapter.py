"""The demo's chapter on a trend, on the running stack: found, missed, reported, ruled on, cited, learned.

clips of the trend -> verdicts of a release that never saw it
viewers' reports -> the clerk's cases -> rulings through the court -> a casebook, on a senior's word where it flips much
more clips -> verdicts that cite the rulings
rulings -> collect, mine, build, train, gate, promote -> a release that learned them -> more clips
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from contracts.cases import DecidedCase
from contracts.errors import CheckFailedError
from contracts.releases import GateResult, Pin
from contracts.taxonomy import Category
from contracts.verdicts import Decision, Verdict
from policy.docket.docket import Docket
from policy.refresh.run import Plan, RefreshRun
from policy.refresh.whole import run_step, told
from serving.releases import ReleasesRoot
from simulation.reviewers import Reviewers
from simulation.trends.films import film_trend
from simulation.trends.settings import FRUIT_CUPS, Trend
from simulation.trends.uploads import draw_look_alikes, draw_trend
from streams.demo.moderate import moderate_all
from streams.demo.trend.audience import watch_and_report
from streams.demo.trend.precedents import followed, published
from streams.demo.trend.reviewing import Reviewed, review
from streams.stack import Stack


class Progress(Protocol):
    """Names the step that runs and, where it can be counted, tells how far it is."""

    @property
    def advance(self) -> Callable[[int], None]: ...
    def __call__(self, name: str, total: int | None = None) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class TrendPlan:
    """How large the trend is: clips of each of three waves, good ones that only speak of it, rulings that are made."""

    trend: Trend = FRUIT_CUPS
    clips: int = 24
    look_alikes: int = 8
    rulings: int = 24
    per_second: float = 20.0
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Phase:
    """Of a wave's clips: how many were found violative, how many look-alikes too, how many verdicts cite a ruling."""

    name: str
    found: int
    clips: int
    look_alikes_found: int
    look_alikes: int
    citing: int
    pins: tuple[Pin, ...]

    def line(self) -> str:
        pin = self.pins[-1]
        return (
            f"{self.name:34} found {self.found:3} of {self.clips}, look-alikes taken for it "
            f"{self.look_alikes_found} of {self.look_alikes}, {self.citing} cite a ruling on it  "
            f"(release {pin.release_version}, casebook {pin.casebook_version})"
        )


@dataclass(frozen=True, slots=True)
class TrendOutcome:
    """What became of the trend; `gate` None where the refresh did not come so far, `refresh` says why or what.

    truth: what each of its clips is, by video.
    """

    trend: str
    category: Category
    phases: tuple[Phase, ...]
    impressions: int
    reports: int
    reviewed: Reviewed
    to_casebook_s: float
    approved: int
    refresh: tuple[str, ...]
    gate: GateResult | None
    truth: Mapping[str, Category]

    def lines(self) -> Iterator[str]:
        """What to print of it."""
        yield f"trend        {self.trend} ({self.category.value}), of which no release was taught anything"
        yield f"             {self.phases[0].line()}"
        yield (
            f"reports      {self.reports:,} in {self.impressions:,} impressions opened {self.reviewed.opened} cases; "
            f"{self.reviewed.ruled} rulings, {self.reviewed.wrong} of them wrong"
        )
        approved = f", {self.approved} held until a senior approved" if self.approved else ""
        yield f"precedents   in force {self.to_casebook_s:.1f} s after the last ruling, nothing restarted{approved}"
        yield f"             {self.phases[1].line()}"
        yield from (f"{'refresh' if not number else '':13}{line}" for number, line in enumerate(self.refresh))
        yield f"             {self.phases[2].line()}"


@dataclass(slots=True)
class _Waves:
    """The trend's clips in three waves."""

    plan: TrendPlan
    folder: Path
    cases: list[list[DecidedCase]] = field(default_factory=list)

    def film(self, advance: Callable[[int], None]) -> None:
        plan = self.plan
        bad = draw_trend(plan.trend, 3 * plan.clips, plan.seed)
        good = draw_look_alikes(plan.trend, 3 * plan.look_alikes, plan.seed + 50)
        for wave in range(3):
            some = [
                *bad[wave * plan.clips : (wave + 1) * plan.clips],
                *good[wave * plan.look_alikes : (wave + 1) * plan.look_alikes],
            ]
            self.cases.append(film_trend(some, self.folder))
            advance(len(some))


def run_trend(stack: Stack, folder: Path, plan: TrendPlan, golden: Path, step: Progress) -> TrendOutcome:
    """Tell the chapter on a stack with clerk and court whose workers may read `folder`/trend.

    `golden` is a data snapshot of the cases that the refresh is gated by. Raises `CheckFailedError` when a verdict does
    not come.
    """
    releases = ReleasesRoot(Path(stack.environment["PRECEDENT_RELEASES"]))
    docket_home = Path(stack.environment["PRECEDENT_DOCKET"])
    waves = _Waves(plan, folder / "trend")
    with step("film a trend", 3 * (plan.clips + plan.look_alikes)):
        waves.film(step.advance)
    first, second, third = waves.cases
    docket = Docket(docket_home)
    try:
        with step("the trend comes up: moderate it", len(first)):
            before = _moderated(stack, first, "before anything was ruled", plan, step, frozenset())
        with step("viewers report, the clerk opens cases, reviewers rule", plan.rulings):
            shown, reports = watch_and_report(stack.kafka, first, now=datetime.now(UTC), seed=plan.seed)
            truth = {case.upload.video_id: case for case in first}
            reviewers = Reviewers(seed=plan.seed)
            reviewed = review(
                stack.part("court").address,
                docket_home / "tokens.json",
                truth,
                plan.trend.category,
                reviewers,
                enough=plan.rulings,
                within_s=60.0,
                advance=step.advance,
            )
        with step("rulings become precedents"):
            took, approved = published(releases, docket)
            ruled = frozenset(one.ruling.case_id for one in docket.decided())
        with step("more of the trend", len(second)):
            with_precedents = _moderated(stack, second, "by precedents, nothing trained", plan, step, ruled)
        with step("the nightly refresh", 6):
            lines, gate = _refreshed(releases, docket_home, folder, golden, plan, step)
        with step("the rest of the trend", len(third)):
            followed(releases)
            name = "after the refresh" if gate is not None and gate.passed else "after it, by the old release"
            after = _moderated(stack, third, name, plan, step, ruled)
    finally:
        docket.close()
    return TrendOutcome(
        trend=plan.trend.name,
        category=plan.trend.category,
        phases=(before, with_precedents, after),
        impressions=shown,
        reports=reports,
        reviewed=reviewed,
        to_casebook_s=took,
        approved=approved,
        refresh=lines,
        gate=gate,
        truth={case.upload.video_id: case.category for wave in waves.cases for case in wave},
    )


def _moderated(
    stack: Stack, cases: Sequence[DecidedCase], name: str, plan: TrendPlan, step: Progress, ruled: frozenset[str]
) -> Phase:
    judged = moderate_all(
        stack.kafka, [case.upload for case in cases], per_second=plan.per_second, advance=step.advance
    )
    if len(judged.verdicts) != len(cases):
        raise CheckFailedError(f"{len(judged.verdicts)} verdicts on {len(cases)} clips of the trend, must be all")
    truth = {case.upload.video_id: case.category for case in cases}
    bad = [one for one in judged.verdicts if truth[one.video_id] is not Category.POSITIVE]
    good = [one for one in judged.verdicts if truth[one.video_id] is Category.POSITIVE]
    pins = {
        (one.release_version, one.casebook_version): Pin(
            release_version=one.release_version, casebook_version=one.casebook_version
        )
        for one in judged.verdicts
    }
    return Phase(
        name=name,
        found=sum(map(_acted_on, bad)),
        clips=len(bad),
        look_alikes_found=sum(map(_acted_on, good)),
        look_alikes=len(good),
        citing=sum(any(cited.case_id in ruled for cited in one.citations) for one in judged.verdicts),
        pins=tuple(pins.values()),
    )


def _acted_on(verdict: Verdict) -> bool:
    return verdict.decision is not Decision.ALLOW


def _refreshed(
    root: ReleasesRoot, docket: Path, folder: Path, golden: Path, plan: TrendPlan, step: Progress
) -> tuple[tuple[str, ...], GateResult | None]:
    """The refresh's own steps, one by one, as its command and its DAG call them; the seat is live at once here."""
    parent = root.release_path(root.read_pointer().live.release_version)
    run = RefreshRun.begin(
        folder / "refresh",
        Plan(
            releases=str(root.path),
            parent=str(parent),
            docket=str(docket),
            golden=str(golden),
            seed=plan.seed,
            seat="live",
        ),
    )
    lines, gate = list[str](), None
    try:
        for name in ("collect", "mine", "build", "train", "gate", "promote"):
            outcome = run_step(run, name, lambda: Docket(docket), now=datetime.now(UTC))
            step.advance(1)
            if isinstance(outcome, GateResult):
                gate = outcome
            lines.append(told(name, outcome))
    except CheckFailedError:  # a refusal is an outcome, told with its reasons by the gate
        lines.append("promote: no, the old release and its precedents go on")
    return tuple(line.replace(f"{folder}/", "") for line in lines), gate
