"""Verdicts, truth and rankings in, the demo's figures out: what was processed, how well, how fast."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contracts.taxonomy import Category, Group
from contracts.verdicts import Decision, Verdict
from streams.demo.adjudication import Adjudicated
from streams.demo.experiment import Outcome
from streams.demo.trend.chapter import TrendOutcome


@dataclass(frozen=True, slots=True)
class GroupAgreement:
    """Of a group's `videos`, how many the policy treated as it should: violative ones found, positive ones let be."""

    group: Group
    videos: int
    agreed: int

    @property
    def share(self) -> float:
        return self.agreed / self.videos if self.videos else float("nan")


@dataclass(frozen=True, slots=True)
class RankedVideo:
    """A candidate's place by relevance alone and with toxicity; None where it is left out."""

    video_id: str
    title: str
    truth: Category
    relevance: float
    toxicity: float
    decision: Decision | None
    before: int
    after: int | None


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """The demo's figures; latencies are milliseconds from the intended send time to the produced verdict."""

    sent: int
    judged: int
    dead: int
    features_fresh: int
    warehouse_rows: int
    decisions: Mapping[Decision, int]
    agreement: Sequence[GroupAgreement]
    latency_ms: Mapping[str, float]
    per_second: float
    workers: int
    trained_on: int
    ranking: Sequence[RankedVideo]
    trend: TrendOutcome | None
    adjudicated: Adjudicated | None
    exposure: Sequence[str]
    experiment: Outcome | None
    steps_s: Mapping[str, float]

    @property
    def agreed_share(self) -> float:
        return sum(group.agreed for group in self.agreement) / max(1, sum(group.videos for group in self.agreement))


def agreement_by_group(verdicts: Sequence[Verdict], truth: Mapping[str, Category]) -> list[GroupAgreement]:
    """Compare what was found with what is true, violative against positive, for each group of the truth."""
    videos, agreed = Counter[Group](), Counter[Group]()
    for verdict in verdicts:
        true = truth[verdict.video_id]
        videos[true.group] += 1
        agreed[true.group] += (verdict.category is Category.POSITIVE) == (true is Category.POSITIVE)
    return [GroupAgreement(group, videos[group], agreed[group]) for group in Group]


def latency_quantiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and the largest, by linear interpolation."""
    values = np.quantile(milliseconds, (0.5, 0.9, 0.99, 1.0)) if len(milliseconds) else [float("nan")] * 4
    return {name: round(float(v), 1) for name, v in zip(("p50", "p90", "p99", "max"), values, strict=True)}


def as_text(summary: DemoSummary) -> str:
    """The summary as it is printed on a terminal."""
    decisions = ", ".join(f"{summary.decisions.get(decision, 0)} {decision.value}" for decision in Decision)
    latency = "   ".join(f"{name} {value:,.0f} ms" for name, value in summary.latency_ms.items())
    lines = [
        "",
        *((f"headline     {summary.experiment.headline}", "") if summary.experiment else ()),
        f"processed    {summary.judged} of {summary.sent} uploads, {summary.dead} dead letters",
        f"stored       {summary.features_fresh} fresh in Feast, {summary.warehouse_rows} in the warehouse",
        f"decisions    {decisions}",
        f"agreement    {summary.agreed_share:.1%} with the ground truth (trained on {summary.trained_on} other videos)",
        *(
            f"             {group.group.value:22} {group.agreed:4} of {group.videos:4}   {group.share:6.1%}"
            for group in summary.agreement
        ),
        f"latency      {latency}   (upload sent to verdict produced, features readable by then)",
        f"throughput   {summary.per_second:,.0f} videos/s with media, decoding included",
        "",
        "ranked for a viewer who minds toxicity      relevance  toxicity  decision   before -> after",
        *(_ranked_line(video) for video in summary.ranking),
        *(("", *summary.trend.lines()) if summary.trend else ()),
        *_titled("adjudicator", summary.adjudicated.lines() if summary.adjudicated else ()),
        *_titled("exposure", summary.exposure),
        *(("", *_titled("experiment", summary.experiment.lines())) if summary.experiment else ()),
    ]
    return "\n".join(lines)


def _titled(title: str, lines: Iterable[str]) -> Iterator[str]:
    """The lines of a part of the summary, its title before the first."""
    yield from (f"{title if not n else '':13}{line}" for n, line in enumerate(lines))


def _ranked_line(video: RankedVideo) -> str:
    after = "left out" if video.after is None else str(video.after)
    decision = video.decision.value if video.decision else "unknown"
    return (
        f"  {video.video_id:20} {video.truth.value:20} {video.relevance:9.2f} {video.toxicity:9.2f}  {decision:8} "
        f"{video.before:6} -> {after}"
    )
