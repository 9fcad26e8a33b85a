"""The primary metric's band at the latest look in, one outcome and one plain sentence out.

The band holds on every day at once, so the sentence may be read on any day without inflating its errors:

    band clear of 0                        better, or worse
    band inside ± the smallest effect      no difference larger than that
    neither                                not enough users to see it, and how many more days
"""

from collections.abc import Iterator
from collections.abc import Sequence as Ordered

from ab_tests.metrics import METRICS
from ab_tests.results import (
    Analysis,
    ArmVerdict,
    Direction,
    GuardrailResult,
    GuardrailState,
    Interval,
    Look,
    Outcome,
    Power,
    Sequence,
    Unmeasured,
)
from contracts.experiments import Experiment


def judge_arm(
    experiment: Experiment,
    sequence: Sequence,
    power: Power | None,
    guardrails: Ordered[GuardrailResult],
) -> ArmVerdict:
    """What may be said of `sequence`'s arm after its latest look."""
    look, limit = sequence.looks[-1], experiment.smallest_effect
    name = METRICS[sequence.metric].name_in_sentence
    found = f"{name} {percent(look.relative)} ({interval(look.band)})"
    outcome = outcome_of(look, limit, METRICS[sequence.metric].direction)
    more = power.more_days if power else None
    if outcome in {Outcome.BETTER, Outcome.WORSE}:
        small = f", less than the {share(limit)} that would matter" if _inside(look.band, limit) else ""
        said = f"{sequence.variant} is {outcome.value}: {found}{small}"
    elif outcome is Outcome.NO_DIFFERENCE:
        said = f"{sequence.variant}: no difference larger than {share(limit)}: {found}"
    else:
        days = _days(more, look, sequence.planned_looks)
        said = f"{sequence.variant}: not enough users to see a change of {share(limit)}: {found}; {days}"
    earlier = sequence.first_crossing
    if earlier and not look.crossed:
        said += f"; on {earlier.day} it was clear of 0 ({interval(earlier.band)})"
    shown = None if outcome is not Outcome.NOT_ENOUGH else more
    return ArmVerdict(sequence.variant, outcome, f"{said}{_guarded(guardrails)}.", shown)


def judge_unmeasured(unmeasured: Unmeasured) -> ArmVerdict:
    """What is said of an arm whose primary metric could not be estimated."""
    name = METRICS[unmeasured.metric].name_in_sentence
    sentence = f"{unmeasured.variant}: not enough users to see anything of {name}: {unmeasured.reason}."
    return ArmVerdict(unmeasured.variant, Outcome.NOT_ENOUGH, sentence, None)


def outcome_of(look: Look, smallest_effect: float, direction: Direction) -> Outcome:
    """A difference that is both sure and smaller than `smallest_effect` is still a difference."""
    if look.crossed:
        upward = look.relative > 0
        return Outcome.BETTER if upward is (direction is Direction.HIGHER) else Outcome.WORSE
    return Outcome.NO_DIFFERENCE if _inside(look.band, smallest_effect) else Outcome.NOT_ENOUGH


def percent(value: float) -> str:
    """A relative effect with its sign, in percent to two significant places or a hundredth: +0.03%, -24.3%."""
    return f"{100.0 * value:+.{_places(value)}f}%"


def share(value: float) -> str:
    """A share in percent without a sign."""
    return f"{100.0 * value:.{_places(value)}f}%".replace(".0%", "%").replace(".00%", "%")


def interval(band: Interval) -> str:
    return f"{percent(band.low)} to {percent(band.high)}"


def _places(value: float) -> int:
    return 2 if abs(value) < 0.01 else 1


def _inside(band: Interval, limit: float) -> bool:
    return -limit < band.low and band.high < limit


def _days(more: int | None, look: Look, planned: int) -> str:
    if more is None:
        return "at this growth a year more would not be enough"
    if more == 0:
        return f"{look.users} users are enough for that at a single look, so the effect may be smaller"
    late = look.number + more - planned
    beyond = f", {late} beyond the plan" if late > 0 else ""
    return f"about {more} more day{'s' if more > 1 else ''} at this growth{beyond}"


def _guarded(guardrails: Ordered[GuardrailResult]) -> str:
    failed = [g for g in guardrails if g.state is GuardrailState.FAILED]
    unproven = [g for g in guardrails if g.state is GuardrailState.UNPROVEN]
    parts = [f"guardrail {_named(g)} failed ({percent(g.relative)})" for g in failed]
    parts += [f"guardrail {_named(g)} is not shown to hold" for g in unproven]
    return f"; but {' and '.join(parts)}" if parts else ""


def _named(guardrail: GuardrailResult) -> str:
    return f"{METRICS[guardrail.metric].name_in_sentence} within {share(guardrail.margin)}"


def lines_of(analysis: Analysis) -> Iterator[str]:
    """An analysis for a terminal: verdicts first, then every metric, guardrails, power, and what limits them."""
    experiment, population = analysis.experiment, analysis.population
    yield f"{experiment.experiment_id}, {population.since} to {population.through}, {population.users:,} users"
    yield from (f"  {verdict.sentence}" for verdict in analysis.verdicts)
    sizes = ", ".join(f"{arm.variant} {arm.users:,} of {share(arm.share)}" for arm in population.arms)
    yield f"\nsample ratio: p = {analysis.sample_ratio.p_value:.3g} ({sizes})"
    header = f"{'metric':22} {'arm':18} {'control':>11} {'treatment':>11} {'effect':>8}  {'interval':>18}"
    yield f"\n{header} {'p':>7} {'adj. p':>7} CUPED"
    for one in analysis.estimates:
        cuped = percent(-one.narrowing) if one.cuped else "off"
        yield (
            f"{one.metric:22} {one.variant:18} {one.control:>11.5g} {one.treatment:>11.5g} {percent(one.relative):>8}  "
            f"{interval(one.relative_interval):>18} {one.p_value:>7.3g} {one.adjusted_p:>7.3g} {cuped}"
        )
    yield from (f"{gap.metric:22} {gap.variant:18} not measured: {gap.reason}" for gap in analysis.unmeasured)
    for guardrail in analysis.guardrails:
        bound = f"bound {percent(guardrail.bound)}"
        yield f"guardrail {_named(guardrail)} for {guardrail.variant}: {guardrail.state.value} ({bound})"
    yield from power_lines(analysis)
    yield ""
    yield from (f"note: {caveat}" for caveat in analysis.caveats)


def power_lines(analysis: Analysis) -> Iterator[str]:
    """What the users so far can show of every metric, and how long the rest takes."""
    effect = share(analysis.experiment.smallest_effect)
    header = f"{'power':22} {'arm':18} {'to find ' + effect:>14} {'detectable':>10} {'users':>10}"
    yield f"\n{header} {'needed':>12} {'more days':>10}"
    for panel in analysis.power:
        days = "over a year" if panel.more_days is None else str(panel.more_days)
        yield (
            f"{panel.metric:22} {panel.variant:18} {panel.power:>14.0%} {share(panel.detectable):>10} "
            f"{panel.users:>10,} {panel.users_needed:>12,} {days:>10}"
        )
