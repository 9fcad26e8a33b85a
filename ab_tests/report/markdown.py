"""An analysis in, one Markdown text out: the page's words and numbers for a review, a terminal or a message.

Whatever an experiment's author wrote is escaped, so that it can neither form a heading or a table nor carry HTML.
"""

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from ab_tests.report import reading, words
from ab_tests.report.reading import Blocked, Role, Row
from ab_tests.results import Analysis, Breakdown, Definition, GuardrailState, Population, SampleRatio
from contracts.experiments import N_BUCKETS, Experiment

_MARKS = re.compile(r"([\\`*_\[\]#|~!])")


def to_markdown(finding: Analysis | Blocked) -> str:
    """The report as Markdown; of what a check of the data blocks, without any effect."""
    found = reading.checked(finding)
    return _text(_blocked(found) if isinstance(found, Blocked) else _report(found))


def escaped(text: str) -> str:
    """Somebody else's words as one line of plain text."""
    return _MARKS.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _text(blocks: Iterable[str]) -> str:
    return "\n\n".join(block for block in blocks if block) + "\n"


def _blocked(found: Blocked) -> Iterator[str]:
    yield f"# {escaped(found.experiment.experiment_id)}: no verdict"
    yield f"**{escaped(found.reason)}**"
    yield "No effect is shown, because none could be trusted, whichever way it points."
    yield f"Hypothesis: {escaped(found.experiment.hypothesis)}"
    if found.sample_ratio:
        yield from _sample_ratio(found.sample_ratio)
    if found.population:
        yield from _population(found.population, found.experiment)
    yield from _declared(found.experiment, reading.definitions_of(found.experiment))


def _report(found: Analysis) -> Iterator[str]:
    test = found.experiment
    outcomes = ", ".join(verdict.outcome.value for verdict in found.verdicts)
    yield f"# {escaped(test.experiment_id)}: {outcomes}"
    for verdict in found.verdicts:
        yield f"**{escaped(words.typeset(verdict.sentence))}**"
    when = words.day_of(reading.days_so_far(found), reading.planned_days(found))
    yield f"{when.capitalize()}; {words.day(test.starts_on)} to {words.day(found.through)}."
    yield f"Hypothesis: {escaped(test.hypothesis)}"
    yield "## Before you act on this"
    yield "\n".join(f"- {escaped(words.typeset(caveat))}" for caveat in found.caveats)
    yield from _effects(found)
    yield from _days(found)
    for breakdown in found.breakdowns:
        yield from _breakdown(found, breakdown)
    yield from _sample_ratio(found.sample_ratio)
    yield from _power(found)
    yield from _cuped(found)
    yield from _population(found.population, test)
    yield from _declared(test, found.definitions)


def _effects(found: Analysis) -> Iterator[str]:
    level = words.percent(1.0 - found.experiment.alpha)
    yield "## Effect on every metric"
    for variant in reading.treatments_of(found.experiment):
        yield f"{escaped(variant)} against {escaped(found.experiment.control.name)}, {level} intervals for one look."
        yield _table(
            ("Metric", "Good", "Mean of control", "Mean of arm", "Effect", "Adjusted p", "Reading"),
            [_effect(found, row) for row in reading.rows_of(found, variant)],
            right=(2, 3, 4, 5),
        )


def _effect(found: Analysis, row: Row) -> tuple[str, ...]:
    title, direction, estimate = row.definition.title, row.definition.direction.value, row.estimate
    if estimate is None:
        return title, direction, "", "", "not measured", "", escaped(row.missing)
    unit = words.Unit(row.definition.unit, estimate.control)
    means = unit.value(estimate.control), f"{unit.value(estimate.treatment)} {unit.name}"
    said = words.effect(estimate.relative, estimate.relative_interval)
    return title, direction, *means, said, escaped(words.p_of(estimate.adjusted_p)), _reading(found, row)


def _reading(found: Analysis, row: Row) -> str:
    said = row.tone.value
    if row.role is Role.PRIMARY:
        said = next(verdict.outcome.value for verdict in found.verdicts if verdict.variant == row.variant)
    if row.guardrail is None or row.estimate is None or row.margin is None:
        return said
    state = "not shown to hold" if row.guardrail.state is GuardrailState.UNPROVEN else row.guardrail.state.value
    worst = words.signed_percent(row.guardrail.bound, words.places_of(row.estimate.relative_interval))
    return f"{said}; guardrail {state}: at worst {worst}, margin {words.signed_percent(row.margin)}"


def _days(found: Analysis) -> Iterator[str]:
    yield "## Day by day"
    yield "Effects on everything up to each day. The band may be looked at every day; the other interval only once."
    for sequence in found.sequences:
        if sequence.metric is not found.experiment.primary:
            continue
        yield f"{_title(found.definitions, sequence.metric)}, {escaped(sequence.variant)}:"
        yield _table(
            ("Day", "Users", "Effect", "Band", "One look", "Clear of 0"),
            [
                (
                    str(look.number),
                    words.count(look.users),
                    words.signed_percent(look.relative, words.places_of(look.fixed_interval)),
                    words.bracket(look.band),
                    words.bracket(look.fixed_interval),
                    "yes" if look.crossed else "no",
                )
                for look in sequence.looks
            ],
            right=(0, 1, 2, 3, 4),
        )
    if found.sequences:
        yield f"The band: {escaped(found.sequences[0].method)}."


def _breakdown(found: Analysis, breakdown: Breakdown) -> Iterator[str]:
    yield {"surface": "## By surface", "activity": "## By segment of users"}[breakdown.by]
    yield escaped(breakdown.note)
    for variant in reading.treatments_of(found.experiment):
        lines = [
            (
                row.definition.title,
                escaped(part.name),
                words.count(part.users),
                words.effect(part.estimate.relative, part.estimate.relative_interval)
                if part.estimate
                else "not measured",
                part.tone.value,
            )
            for row in reading.rows_of(found, variant)
            for part in reading.parts_of(breakdown, row.definition.metric, variant, alpha=found.experiment.alpha)
            if part.estimate or breakdown.by == "activity"
        ]
        yield escaped(variant) + ":"
        yield _table(("Metric", breakdown.by.capitalize(), "Users", "Effect", "Reading"), lines, right=(2, 3))
    yield "\n".join(
        f"- {_title(found.definitions, test.metric)}, {escaped(test.variant)}: Cochran's Q {test.q:.1f} on "
        f"{test.degrees_of_freedom} degrees of freedom, adjusted {escaped(words.p_said(test.adjusted_p))}"
        for test in breakdown.heterogeneity
    )


def _sample_ratio(ratio: SampleRatio) -> Iterator[str]:
    users = sum(arm.users for arm in ratio.arms)
    yield "## Sample ratio"
    yield "**The check failed.**" if ratio.alarms else "The arms are as large as planned."
    yield _table(
        ("Arm", "Planned", "Expected", "Seen"),
        [
            (
                escaped(arm.variant),
                words.percent(arm.share),
                words.count(round(users * arm.share)),
                words.count(arm.users),
            )
            for arm in ratio.arms
        ],
        right=(1, 2, 3),
    )
    yield "\n".join(
        f"- {name}: {'not tested' if p is None else escaped(words.p_said(p))}" for name, p in reading.checks_of(ratio)
    )
    yield f"An alarm is p below {ratio.threshold:g}. What it cannot see:"
    yield "\n".join(f"- {leak}" for leak in reading.UNSEEN_LEAKS)


def _power(found: Analysis) -> Iterator[str]:
    yield "## Power"
    yield (
        f"What could be seen by now with {words.percent(found.experiment.power)} power at a single look, and how long "
        f"until that is {words.percent(found.experiment.smallest_effect)}."
    )
    yield _table(
        ("Metric", "Arm", "Could be seen", "Power", "Users", "Needed", "More days"),
        [
            (
                _title(found.definitions, one.metric),
                escaped(one.variant),
                f"±{words.percent(one.detectable)}",
                escaped(words.power(one.power)),
                words.count(one.users),
                words.count(one.users_needed),
                "over a year" if one.more_days is None else words.count(one.more_days),
            )
            for one in found.power
        ],
        right=(2, 3, 4, 5, 6),
    )


def _cuped(found: Analysis) -> Iterator[str]:
    yield "## What CUPED gained"
    adjusted = [one for one in found.estimates if one.cuped]
    yield (
        "\n".join(
            f"- {_title(found.definitions, one.metric)}, {escaped(one.variant)}: {words.narrowed(one.narrowing)}"
            for one in adjusted
        )
        or "CUPED was off."
    )


def _population(population: Population, test: Experiment) -> Iterator[str]:
    share = (test.buckets[1] - test.buckets[0]) / N_BUCKETS
    seen = population.users + population.several_variants
    yield "## Who was counted"
    yield "\n".join(
        (
            f"- assigned: {words.percent(share)} of the layer's users, by a hash of their id",
            f"- exposed: {words.count(seen)}",
            f"- left out for seeing several variants: {words.count(population.several_variants)} "
            f"({words.percent(population.several_variants_share, 2)})",
            f"- counted: {words.count(population.users)}, "
            + ", ".join(f"{words.count(arm.users)} in {escaped(arm.variant)}" for arm in population.arms),
        )
    )


def _declared(test: Experiment, definitions: Sequence[Definition]) -> Iterator[str]:
    yield "## What each metric means"
    yield "\n".join(
        f"- **{one.title}**: {escaped(one.formula)}. In {one.unit}; {one.direction.value} is better. "
        + (f"CUPED by {escaped(one.covariate)}." if one.covariate else "No CUPED.")
        for one in definitions
    )
    yield "## The experiment as declared"
    guardrails = [f"{escaped(g.metric.value)} no worse than {words.percent(g.margin)}" for g in test.guardrails]
    arms = [f"{escaped(variant.name)} {words.percent(variant.share)}" for variant in test.variants]
    yield "\n".join(
        (
            f"- changes {test.subject.value}, {words.day(test.starts_on)} to {words.day(test.ends_on)} (UTC), "
            f"{words.counted(test.pre_period_days, 'day')} of pre-period",
            f"- layer {escaped(test.layer)}, buckets {test.buckets[0]:,} to {test.buckets[1]:,}, "
            f"salt {escaped(test.salt)}",
            f"- arms: {', '.join(arms)}; the first is the control",
            f"- primary metric {escaped(test.primary.value)}; "
            f"a change of {words.percent(test.smallest_effect)} matters",
            f"- guardrails: {', '.join(guardrails) or 'none'}",
            f"- {words.percent(test.alpha)} false alarms and {words.percent(test.power)} power",
        )
    )


def _title(definitions: Sequence[Definition], metric: str) -> str:
    return next(one.title for one in definitions if one.metric == metric)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> str:
    """A table; cells are already escaped, < and > of p-values included."""
    rule = ["---:" if i in right else "---" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
