"""What each metric means: columns of the per-user table in, one ratio of means and its covariate out.

Every metric is total numerator over total denominator of an arm's users; without a denominator it is the mean per
assigned user. The covariate is the same ratio in the pre-period, or the nearest thing that exists there.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ab_tests.results import Definition, Direction
from contracts.experiments import MetricName

FOLLOWED_DAYS = 7
FOLLOWED_WEEK = "followed_week"
"""Derived column: 1 for users first exposed at least 7 days before the last day, whose return can be known."""
RETAINED_WEEK = "retained_week"
"""Derived column: 1 for those of them who were active on a day 7 or more days after their first exposure."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as data; `by_surface` when its columns exist for one surface alone.

    `covariate` and `covariate_denominator` are its pre-period columns for CUPED (Deng et al., WSDM 2013); None where an
    arm may all but end what is measured: one coefficient for both arms then adds the past's noise to the arm that has
    none left (on the simulated platform the interval was 17% wider, and covered 93.1% instead of 95%).
    """

    name: MetricName
    title: str
    formula: str
    unit: str
    direction: Direction
    numerator: str
    denominator: str | None
    covariate: str | None
    covariate_denominator: str | None
    by_surface: bool

    @property
    def name_in_sentence(self) -> str:
        """The title with a small first letter: abbreviations stay as they are."""
        return self.title[0].lower() + self.title[1:]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that its estimate needs."""
        named = (self.numerator, self.denominator, self.covariate, self.covariate_denominator)
        return tuple(column for column in named if column is not None)

    def define(self, *, cuped: bool) -> Definition:
        """The definition as a report prints it."""
        over = f" / {self.covariate_denominator}" if self.covariate_denominator else " per user"
        covariate = f"{self.covariate}{over}" if cuped and self.covariate else None
        return Definition(self.name, self.title, self.formula, self.unit, self.direction, covariate)


METRICS: dict[MetricName, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name=MetricName.REPORT_RATE,
            title="Report rate",
            formula="reports / impressions, over all users of the arm",
            unit="reports per impression",
            direction=Direction.LOWER,
            numerator="reports",
            denominator="impressions",
            covariate="pre_reports",
            covariate_denominator="pre_impressions",
            by_surface=True,
        ),
        Metric(
            name=MetricName.ACTIVE_DAYS,
            title="Active days (DAU)",
            formula="days with a session or an impression, per assigned user, from first exposure on",
            unit="days per user",
            direction=Direction.HIGHER,
            numerator="active_days",
            denominator=None,
            covariate="pre_active_days",
            covariate_denominator=None,
            by_surface=False,
        ),
        Metric(
            name=MetricName.USAGE_TIME_PER_USER,
            title="Usage time per active user and day",
            formula="seconds in sessions / active days, over all users of the arm",
            unit="seconds per active day",
            direction=Direction.HIGHER,
            numerator="usage_s",
            denominator="active_days",
            covariate="pre_usage_s",
            covariate_denominator="pre_active_days",
            by_surface=False,
        ),
        Metric(
            name=MetricName.USAGE_TIME_TOTAL,
            title="Total usage time",
            formula="seconds in sessions, per assigned user, from first exposure on",
            unit="seconds per user",
            direction=Direction.HIGHER,
            numerator="usage_s",
            denominator=None,
            covariate="pre_usage_s",
            covariate_denominator=None,
            by_surface=False,
        ),
        Metric(
            name=MetricName.RETENTION,
            title="Retention",
            formula="users active 7 or more days after first exposure / users followed for 7 days or more",
            unit="share of users",
            direction=Direction.HIGHER,
            numerator=RETAINED_WEEK,
            denominator=FOLLOWED_WEEK,
            covariate="pre_active_days",
            covariate_denominator=None,
            by_surface=False,
        ),
        Metric(
            name=MetricName.TOXIC_SHARE,
            title="Share of toxic impressions",
            formula="impressions of toxicity 0.5 or more / impressions whose toxicity was known when served",
            unit="share of impressions",
            direction=Direction.LOWER,
            numerator="toxic_impressions",
            denominator="scored_impressions",
            covariate=None,
            covariate_denominator=None,
            by_surface=True,
        ),
        Metric(
            name=MetricName.TOXIC_EXPOSURE,
            title="Toxic exposure",
            formula="impressions of videos ruled violative by now, before their demotion / impressions; a lower bound",
            unit="exposures per impression",
            direction=Direction.LOWER,
            numerator="exposed_impressions",
            denominator="impressions",
            covariate=None,
            covariate_denominator=None,
            by_surface=True,
        ),
        Metric(
            name=MetricName.IMPRESSIONS_PER_USER,
            title="Impressions",
            formula="impressions, per assigned user, from first exposure on",
            unit="impressions per user",
            direction=Direction.HIGHER,
            numerator="impressions",
            denominator=None,
            covariate="pre_impressions",
            covariate_denominator=None,
            by_surface=True,
        ),
    )
}


def columns_of(metrics: Iterable[Metric]) -> tuple[str, ...]:
    """The columns that `metrics` need together, each once, in their order."""
    return tuple(dict.fromkeys(column for metric in metrics for column in metric.columns))
