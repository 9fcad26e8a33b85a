"""Does a brigade open cases against harmless videos, and do honest reports still open theirs?

A made-up platform lives two weeks. In the first, honest reports open cases, which are ruled on, so that reporters have
a record; in the second, 5% of all users report 1,000 harmless videos, in one of several manners. Opened are counted
with and without the brigade, by the same `open_cases` that the platform uses, and with reports merely counted.
Conservative: the brigade's reports come without impressions, and its members also report honestly, as all users do.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from contracts.taxonomy import POSITIVE_INDEX, TAXONOMY_VERSION, Category
from contracts.verdicts import Decision, Verdict
from policy.cases.coordination import WeighedReports, weigh_reports
from policy.cases.opening import OpeningSettings, open_cases
from policy.cases.reliability import UNKNOWN, reliabilities
from policy.cases.report_rate import report_rates
from warehouse.feedback import Report, ReporterRecord, VideoFeedback

START = datetime(2026, 11, 1, tzinfo=UTC)
LEAST_KEPT = 0.8
DAY_S = 86_400.0
ONLY_REPORTS = OpeningSettings(uncertain_within=0.0, audited=dict.fromkeys(Decision, 0.0))

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BrigadeSettings:
    """The platform and its brigade.

    prevalence: violative videos that the release missed. impressions, spread: median of a week's impressions of a
    video, and the standard deviation of their log. report_violative, report_harmless: honest reports an impression.
    propensity: shape of the gamma distribution of users' propensities to report. delay_days: mean time from upload to
    report. right: rulings of the first week that find what is true.
    """

    users: int = 20_000
    videos: int = 10_000
    days: int = 7
    prevalence: float = 0.10
    impressions: float = 600.0
    spread: float = 1.0
    report_violative: float = 0.02
    report_harmless: float = 0.001
    propensity: float = 0.3
    delay_days: float = 1.0
    right: float = 0.95
    brigade_share: float = 0.05
    targets: int = 1_000
    zeal: float = 0.9


class Said(NamedTuple):
    """Reports: which of the videos, by which user, how many seconds after the week began; [N] each."""

    video_N: Ints
    user_N: Ints
    at_s_N: Array


class Manner(NamedTuple):
    """How a brigade goes about it: which share of the targets a member takes, over how long, and its record before."""

    share: float
    within_s: float
    upheld_before: int = 0
    rejected_before: int = 0


MANNERS: Mapping[str, Manner] = {
    "each all, in two hours": Manner(1.0, 7_200.0),
    "each all, over the week": Manner(1.0, 7 * DAY_S),
    "each a random fifth, in two hours": Manner(0.2, 7_200.0),
    "each all, after 20 upheld reports": Manner(1.0, 7_200.0, upheld_before=20),
    "each a random fiftieth, in two hours": Manner(0.02, 7_200.0),
    "the same, once 18 each were rejected": Manner(0.02, 7_200.0, rejected_before=18),
}
HELD = tuple(MANNERS)[:4]
"""The manners of mass reporting. In the others the members share too little to be told from strangers, so that only
the rulings on what they opened, about 18 each, take their weight: both are printed, and nothing is asked of them."""


class Outcome(NamedTuple):
    """What came of one brigade: opened targets, by weighed and by counted reports; honest cases without and with it."""

    opened_targets: int
    counted_targets: int
    honest_cases: int
    kept: int
    members: int
    named: int
    took_s: float


CENTRAL = BrigadeSettings()


def measure(*, settings: BrigadeSettings = CENTRAL, seeds: Sequence[int] = (1, 2, 3)) -> dict[str, Any]:
    """Each manner of each seed, summed over seeds; some minutes at the defaults."""
    n = f"{settings.brigade_share:.0%} of {settings.users:,} users, {settings.targets:,} targets, {len(seeds)} seeds"
    table = Table(title=f"A brigade of {n}", title_justify="left", min_width=110)
    for number, column in enumerate(
        ("each member reports", "targets opened", "by counted reports", "honest cases kept", "n")
    ):
        table.add_column(column, justify="left" if number == 0 else "right")
    figures: dict[str, Any] = {"seeds": list(seeds), "users": settings.users, "targets": settings.targets * len(seeds)}
    for name, manner in MANNERS.items():
        runs = [attack(settings, manner, seed=seed) for seed in seeds]
        total = {field: sum(getattr(run, field) for run in runs) for field in Outcome._fields}
        figures[name] = total
        kept = total["kept"] / max(1, total["honest_cases"])
        table.add_row(
            name, f"{total['opened_targets']:,} of {figures['targets']:,}", f"{total['counted_targets']:,}",
            f"{kept:.1%}", f"{total['kept']:,} of {total['honest_cases']:,}",
        )  # fmt: skip
    console = Console(width=130)
    console.print(table)
    opened = sum(figures[name]["opened_targets"] for name in HELD)
    kept = min(figures[name]["kept"] / max(1, figures[name]["honest_cases"]) for name in HELD)
    reached = "reached" if opened == 0 and kept >= LEAST_KEPT else "MISSED"
    console.print(
        f"mass reporting opened {opened} targets, asked for 0; kept {kept:.1%} of honest cases at least, ", end=""
    )
    console.print(f"asked for {LEAST_KEPT:.0%}: {reached}")
    return figures


def attack(settings: BrigadeSettings, manner: Manner, *, seed: int) -> Outcome:
    """Live both weeks and count what the second opens, without the brigade and with it."""
    rng = np.random.default_rng(seed)
    propensity_U = rng.gamma(settings.propensity, 1.0, settings.users)
    upheld_U, rejected_U = _records(settings, propensity_U / propensity_U.sum(), rng)
    violative_V, impressions_V, honest = _week(settings, propensity_U / propensity_U.sum(), rng)
    member_U = rng.permutation(settings.users)[: int(settings.brigade_share * settings.users)]
    harmless = np.flatnonzero(~violative_V)
    targets = rng.choice(harmless, size=min(settings.targets, len(harmless)), replace=False)
    upheld_U[member_U] += manner.upheld_before
    rejected_U[member_U] += manner.rejected_before
    known = reliabilities(
        ReporterRecord(_user(u), int(upheld_U[u]), int(rejected_U[u]))
        for u in np.flatnonzero(upheld_U + rejected_U).tolist()
    )
    before, _ = _opened(_feedback(honest, impressions_V), known)
    feedback = _feedback(_joined(honest, _brigade(manner, settings, member_U, targets, rng)), impressions_V)
    started = time.perf_counter()
    after, members = _opened(feedback, known)
    took_s = time.perf_counter() - started
    counted = _over([WeighedReports(v.video_id, v.impressions, 0, 0, UNKNOWN * len(v.reports)) for v in feedback])
    target_ids = {_video(v) for v in targets}
    # What the honest open against harmless videos they open without the brigade too: no target counts as honest.
    honest_cases = before - target_ids
    return Outcome(
        opened_targets=len((after - before) & target_ids),
        counted_targets=len(counted & target_ids),
        honest_cases=len(honest_cases),
        kept=len(honest_cases & after),
        members=len(member_U),
        named=len(members & {_user(u) for u in member_U}),
        took_s=took_s,
    )


def _week(
    settings: BrigadeSettings, chance_U: Array, rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], Ints, Said]:
    """Which videos are violative, how often each is seen, and the honest reports of a week."""
    n = settings.videos
    violative_V = rng.random(n) < settings.prevalence
    impressions_V = np.maximum(1, rng.lognormal(np.log(settings.impressions), settings.spread, n)).astype(np.int64)
    rate_V = np.where(violative_V, settings.report_violative, settings.report_harmless)
    video_N = np.repeat(np.arange(n), rng.binomial(impressions_V, rate_V))
    user_N = rng.choice(settings.users, size=len(video_N), p=chance_U)
    uploaded_s_V = rng.random(n) * (settings.days - 1) * DAY_S
    at_s_N = uploaded_s_V[video_N] + rng.exponential(settings.delay_days * DAY_S, len(video_N))
    return violative_V, impressions_V, Said(video_N, user_N, np.minimum(at_s_N, settings.days * DAY_S - 1.0))


def _records(settings: BrigadeSettings, chance_U: Array, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """How the reports of a first week were ruled, by user: upheld and rejected, int64 [U] each."""
    violative_V, impressions_V, said = _week(settings, chance_U, rng)
    opened, _ = _opened(_feedback(said, impressions_V), {})
    ruled_V = np.array([_video(v) in opened for v in range(settings.videos)])
    found_V = violative_V == (rng.random(settings.videos) < settings.right)
    pairs = np.unique(np.stack([said.video_N, said.user_N]), axis=1)
    video_N, user_N = pairs[:, ruled_V[pairs[0]]]
    upheld = np.bincount(user_N[found_V[video_N]], minlength=settings.users)
    rejected = np.bincount(user_N[~found_V[video_N]], minlength=settings.users)
    return upheld, rejected


def _brigade(
    manner: Manner, settings: BrigadeSettings, member_U: Ints, targets: Ints, rng: np.random.Generator
) -> Said:
    chosen = rng.random((len(targets), len(member_U))) < manner.share * settings.zeal
    target, member = np.nonzero(chosen)
    strikes_s = rng.random(len(targets)) * max(0.0, settings.days * DAY_S - manner.within_s)
    at_s_N = strikes_s[target] + rng.random(len(target)) * min(manner.within_s, settings.days * DAY_S)
    return Said(targets[target], member_U[member], at_s_N)


def _joined(one: Said, other: Said) -> Said:
    return Said(*(np.concatenate(pair) for pair in zip(one, other, strict=True)))


def _feedback(said: Said, impressions_V: Ints) -> list[VideoFeedback]:
    """As the warehouse gives it: each reporter once a video, reports by time, on none of the videos a ruling yet."""
    order = np.argsort(said.at_s_N, kind="stable")
    key = said.video_N[order] * (int(said.user_N.max(initial=0)) + 1) + said.user_N[order]
    first = order[np.sort(np.unique(key, return_index=True)[1])]
    reports: list[list[Report]] = [[] for _ in impressions_V]
    for video, user, at_s in zip(
        said.video_N[first].tolist(), said.user_N[first].tolist(), said.at_s_N[first].tolist(), strict=True
    ):
        reports[video].append(Report(_user(user), START + timedelta(seconds=at_s)))
    return [VideoFeedback(_video(v), int(impressions_V[v]), tuple(listed), None) for v, listed in enumerate(reports)]


def _opened(feedback: Sequence[VideoFeedback], reliability_of: Mapping[str, float]) -> tuple[set[str], set[str]]:
    """Videos that a case is opened about, and reporters who are named as members of a brigade."""
    weighing = weigh_reports(feedback, reliability_of)
    return _over(weighing.videos), {member for brigade in weighing.brigades for member in brigade.members}


def _over(weighed: Sequence[WeighedReports]) -> set[str]:
    rates = {rate.reports.video_id: rate for rate in report_rates(weighed)}
    verdicts = map(_missed, rates)
    cases = open_cases(verdicts, rates, lines={1: 0.5}, now=START + timedelta(days=7), settings=ONLY_REPORTS)
    return {case.video_id for case in cases}


def _missed(video_id: str) -> Verdict:
    """A verdict that finds nothing: only reports can open a case."""
    probabilities = tuple(0.95 if i == POSITIVE_INDEX else 0.05 if i == 0 else 0.0 for i in range(16))
    return Verdict(
        event_id=f"upload-{video_id}",
        video_id=video_id,
        author_id="author",
        occurred_at=START,
        scored_at=START,
        probabilities=probabilities,
        classifier=probabilities,
        toxicity=0.05,
        category=Category.POSITIVE,
        decision=Decision.ALLOW,
        citations=(),
        missing=(),
        release_version=1,
        casebook_version=1,
        taxonomy_version=TAXONOMY_VERSION,
        since_upload_ms=0.0,
    )


_video: Callable[[int], str] = "v{}".format
_user: Callable[[int], str] = "u{}".format
