"""An experiment in, what makes its arms differ out: the ranker of each arm, and who is in which.

The one place where declared variants meet `features.rank` and `ab_tests.assignment`; the simulated platform is handed
the two as plain functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from ab_tests.assignment import assign
from contracts.errors import BadInputError, first_reason
from contracts.experiments import N_BUCKETS, Experiment, Guardrail, MetricName, Subject, Variant
from features.lookup import Freshness
from features.rank import DEFAULT_POLICY, RankPolicy, Signals, score
from simulation.platform.population import Plan
from simulation.platform.sessions.feeds import Feed
from simulation.platform.sessions.opening import OUTSIDE

_SAID_BY_THE_ARMS = (MetricName.TOXIC_SHARE, MetricName.TOXIC_EXPOSURE)
"""Measured by the toxicity and the decision as served: by another release in each arm of an experiment on releases."""


@dataclass(frozen=True, slots=True)
class Arms:
    """The experiment, and its two functions: a `Ranker` and an `Assigner`."""

    experiment: Experiment
    policies: tuple[RankPolicy, ...]

    def rank(self, feed: Feed, /) -> npt.NDArray[np.float64]:
        """Score each session's candidates by the policy of its arm; who is in no arm has the control's."""
        scores = np.empty(feed.relevance_S_C.shape)
        arm_S = np.where(feed.arm_S == OUTSIDE, 0, feed.arm_S)
        for arm in np.unique(arm_S):
            rows = np.flatnonzero(arm_S == arm)
            toxicity = feed.toxicity_S_C[rows]
            signals = Signals(
                state=np.where(np.isnan(toxicity), Freshness.UNKNOWN, Freshness.FRESH).astype(np.int8),
                toxicity=toxicity,
                decision=np.full(toxicity.shape, -1, np.int8),
            )
            found = score(feed.relevance_S_C[rows], signals, feed.tolerance_S[rows, None], self.policies[arm])
            scores[rows] = np.where(found.dropped, -np.inf, found.scores)
        return scores

    def assign(self, user_ids: Sequence[str], /) -> npt.NDArray[np.int8]:
        """The place of each user's variant, -1 for who is not in the experiment."""
        return assign(self.experiment, user_ids)


def arms_of(experiment: Experiment) -> Arms:
    """The arms of an experiment on ranking.

    Raises `BadInputError` where a variant overrides what is no field, and for an experiment on moderation: simulated
    verdicts hold no decisions that an arm could obey.
    """
    place = experiment.experiment_id
    if experiment.subject is not Subject.RANKING:
        raise BadInputError(f"subject == {experiment.subject.value!r}, must be 'ranking' on the simulator ({place})")
    return Arms(
        experiment,
        tuple(
            DEFAULT_POLICY.overridden(variant.ranking, place=f"{place}, variant {variant.name}")
            for variant in experiment.variants
        ),
    )


def toxicity_aware(plan: Plan) -> Arms:
    """Everyone is in one experiment: ranking by relevance alone against the default policy, on the plan's days.

    Raises `BadInputError` for a plan that leaves the experiment no day, or has more than 90 before it.
    """
    try:
        return arms_of(_experiment(plan))
    except ValidationError as error:
        raise BadInputError(
            f"experiment of {plan.days} days from day {plan.starts_on}: {first_reason(error)}"
        ) from error


def learning_policy(plan: Plan) -> Arms:
    """Everyone is in one experiment: a policy that stays as it is against one that is refreshed every night.

    Both arms are ranked alike; what differs is whose verdicts they read, so what is read off these verdicts is no
    metric. The candidate is named by its first release, whose seat its successors take. Raises `BadInputError` as
    `toxicity_aware` does.
    """
    try:
        experiment = Experiment(
            experiment_id="learning-policy",
            hypothesis="Rulings that become precedents at once and the next policy overnight lower the report rate.",
            subject=Subject.MODERATION,
            layer="moderation",
            buckets=(0, N_BUCKETS),
            salt=f"learning-policy-{plan.seed}",
            variants=(
                Variant(name="frozen-policy", share=0.5),
                Variant(name="learning-policy", share=0.5, decisions="candidate"),
            ),
            candidate_release=plan.release_version + 1,
            **_plan_of(plan) | {"metrics": tuple(name for name in MetricName if name not in _SAID_BY_THE_ARMS)},
        )
    except ValidationError as error:
        raise BadInputError(
            f"experiment of {plan.days} days from day {plan.starts_on}: {first_reason(error)}"
        ) from error
    return Arms(experiment, (DEFAULT_POLICY,) * len(experiment.variants))


def _plan_of(plan: Plan) -> dict[str, Any]:
    """What every experiment on the simulated platform shares."""
    return {
        "primary": MetricName.REPORT_RATE,
        "metrics": tuple(MetricName),
        "guardrails": (Guardrail(metric=MetricName.USAGE_TIME_TOTAL, margin=0.02),),
        "surfaces": plan.surfaces,
        "starts_on": plan.begins + timedelta(days=plan.starts_on),
        "ends_on": plan.begins + timedelta(days=plan.days - 1),
        "pre_period_days": plan.starts_on,
        "smallest_effect": 0.05,
    }


def _experiment(plan: Plan) -> Experiment:
    return Experiment(
        experiment_id="toxicity-aware-ranking",
        hypothesis="Ranking toxic videos lower, the more so for viewers who mind them, lowers the report rate.",
        subject=Subject.RANKING,
        layer="ranking",
        buckets=(0, N_BUCKETS),
        salt=f"toxicity-aware-ranking-{plan.seed}",
        variants=(
            Variant(name="control", share=0.5, ranking={"strength": 0.0}),
            Variant(name="toxicity-aware", share=0.5),
        ),
        **_plan_of(plan),
    )
