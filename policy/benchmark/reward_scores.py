"""Pairs and a judge's verdicts on them in, the public reward benchmarks' figures out, with what position does to them.

`accuracy` and `acc_plus` are the public metrics, which ask each pair once, in an order drawn at random: accuracy is the
share of pairs judged right, ACC+ the share of ids all of whose pairs are (MM-RLHF Reward-Bench, arXiv 2502.10391). Of a
pair that was asked in both orders half is right when one of them is, and ACC+ is the product over an id's pairs: both
are what a random order gives on average. `pooled` reads a pair by its rewards, which both orders and all votes made
together, chosen above rejected and a tie wrong: that is what the public scripts print for a file of predictions.

VL Reward-Bench (arXiv 2411.17451) tells its groups by the beginning of an id, up to the first `-` or `_`; what begins
otherwise is general, too. Its macro accuracy is the plain mean of the three groups' accuracies.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from contracts.preferences import PreferencePair
from policy.benchmark.intervals import Interval, mean_of, over_clusters
from policy.reasoning.pairwise import PairVerdict

VL_GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "mathverse": "reasoning",
        "mmmu": "reasoning",
        "hallucination": "hallucination",
        "povid": "hallucination",
        "rlaif": "hallucination",
        "rlhf": "hallucination",
        "wildvision": "general",
    }
)
"""VL Reward-Bench: beginning of an id, in lower case, to its group."""
VL_OTHERS = "general"
ALL = "all"


@dataclass(frozen=True, slots=True)
class Scores:
    """The figures of some pairs; intervals are 95%, pairs of one id taken together."""

    name: str
    pairs: int
    ids: int
    accuracy: Interval
    acc_plus: Interval
    pooled: Interval
    pooled_plus: Interval


@dataclass(frozen=True, slots=True)
class RewardReport:
    """All figures of a benchmark's run.

    by_kind: by first folder of the picture; by_group: VL Reward-Bench's, empty where no id is named as there. macro:
    None unless all three groups are there. consistency: share of pairs with the same preference in both orders, of
    those asked and answered in both. first_place: share of usable answers that prefer what stood first. unanswered:
    pairs of which an order had no usable answer.
    """

    total: Scores
    by_kind: Sequence[Scores]
    by_group: Sequence[Scores]
    macro: Interval | None
    consistency: Interval
    first_place: Interval
    answers: int
    unanswered: int
    unparsed: Mapping[str, int]


def vl_group(pair_id: str) -> str | None:
    """The group of VL Reward-Bench that an id's beginning names, None where it names none."""
    return VL_GROUPS.get(re.split("[-_]", pair_id, maxsplit=1)[0].lower())


def score(pairs: Sequence[PreferencePair], verdicts: Sequence[PairVerdict]) -> RewardReport:
    """The figures of pairs and the verdicts on them, in the same order."""
    judged = list(zip(pairs, verdicts, strict=True))
    by_group = list[Scores]()
    if any(vl_group(pair.id) for pair in pairs):
        by_group = _by(judged, lambda pair: vl_group(pair.id) or VL_OTHERS)
    counted = Counter[str]()
    for verdict in verdicts:
        for one in verdict.orders:
            counted.update(one.unparsed)
    both = [(pair, verdict) for pair, verdict in judged if verdict.consistent is not None]
    return RewardReport(
        total=_scores(ALL, judged),
        by_kind=_by(judged, lambda pair: pair.kind),
        by_group=by_group,
        macro=mean_of([one.accuracy for one in by_group]) if len(by_group) == len(set(VL_GROUPS.values())) else None,
        consistency=_over_ids(both, lambda verdict: float(bool(verdict.consistent)), lambda _: 1),
        first_place=_over_ids(
            judged,
            lambda verdict: float(sum(one.first for one in verdict.orders)),
            lambda verdict: sum(one.usable for one in verdict.orders),
        ),
        answers=sum(one.usable for verdict in verdicts for one in verdict.orders) + counted.total(),
        unanswered=sum(not verdict.answered for verdict in verdicts),
        unparsed=dict(counted.most_common()),
    )


Judged = Sequence[tuple[PreferencePair, PairVerdict]]


def _by(judged: Judged, name_of: Callable[[PreferencePair], str]) -> list[Scores]:
    names = sorted({name_of(pair) for pair, _ in judged} - {""})
    return [_scores(name, [one for one in judged if name_of(one[0]) == name]) for name in names]


def _scores(name: str, judged: Judged) -> Scores:
    by_id = _ids(judged).values()
    return Scores(
        name,
        len(judged),
        len(by_id),
        accuracy=_over_ids(judged, lambda verdict: verdict.share_right, lambda _: 1),
        acc_plus=over_clusters([math.prod(one.share_right for one in some) for some in by_id], [1] * len(by_id)),
        pooled=_over_ids(judged, lambda verdict: float(verdict.right), lambda _: 1),
        pooled_plus=over_clusters([float(all(one.right for one in some)) for some in by_id], [1] * len(by_id)),
    )


def _over_ids(judged: Judged, hit: Callable[[PairVerdict], float], asked: Callable[[PairVerdict], int]) -> Interval:
    by_id = _ids(judged).values()
    return over_clusters([sum(map(hit, some)) for some in by_id], [sum(map(asked, some)) for some in by_id])


def _ids(judged: Judged) -> dict[str, list[PairVerdict]]:
    found: dict[str, list[PairVerdict]] = {}
    for pair, verdict in judged:
        found.setdefault(pair.id, []).append(verdict)
    return found


RULES_SHOWN = 8


def reward_table(report: RewardReport, *, name: str) -> str:
    """The figures as text."""
    rows = [report.total, *report.by_kind, *report.by_group]
    width = max(12, *(len(row.name) for row in rows))
    head = f"{name:{width}}{'pairs':>7}{'ids':>6}" + "".join(
        f"{heading:>23}" for heading in ("accuracy", "ACC+", "pooled", "pooled ACC+")
    )
    lines = [head]
    for row in rows:
        cells = (row.accuracy, row.acc_plus, row.pooled, row.pooled_plus)
        lines.append(f"{row.name:{width}}{row.pairs:>7}{row.ids:>6}" + "".join(f"{cell!s:>23}" for cell in cells))
    if report.macro is not None:
        lines.append(f"macro accuracy of reasoning, hallucination and general: {report.macro}")
    lines += [
        "",
        f"same preference in both orders: {report.consistency}"
        if not math.isnan(report.consistency.estimate)
        else "each pair was asked in one order, so that nothing is known of their consistency",
        f"answers that prefer what stood first: {report.first_place}",
        f"{sum(report.unparsed.values())} of {report.answers} answers were not of the form; "
        f"{report.unanswered} pairs had an order without a usable answer and count as wrong",
        *(f"  {times:>6}  {rule}" for rule, times in list(report.unparsed.items())[:RULES_SHOWN]),
    ]
    if (left := len(report.unparsed) - RULES_SHOWN) > 0:
        lines.append(f"          and {left} more rules")
    lines += [
        "",
        "accuracy, ACC+: the public metrics, each pair in one order drawn at random (both asked: its mean)",
        "pooled: by the rewards that all answers made together, a tie is wrong",
        "intervals: 95%, the pairs of an id taken together",
    ]
    return "\n".join(lines)
