"""One row per user in, moments of arms and segments out: counts, means, variances, covariances, and nothing else.

The rows stay in the warehouse; one grouped statement brings back what all metrics need of every cell (arm and
activity), and cells add up to arms. A population that is empty, mixed up or lopsided is refused here.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ab_tests.inference.sample_ratio import BALANCED, check_sample_ratio
from ab_tests.metrics import FOLLOWED_DAYS, FOLLOWED_WEEK, RETAINED_WEEK, Metric
from ab_tests.results import ArmCount, Population, SampleRatio
from contracts.errors import CheckFailedError
from contracts.experiments import Experiment
from contracts.viewers import Surface
from warehouse.address import WarehouseAddress, asking, connect
from warehouse.experiments import TABLE, build_users, exposure_counts

if TYPE_CHECKING:
    from tea_tasting.aggr import Aggregates

ACTIVITIES = ("new", "light", "medium", "heavy")
"""Segments by how often users came in the pre-period; who never came is new."""
MOST_IN_SEVERAL = 0.01
"""A larger share of users in several arms means that assignment is broken, not that a few changed their account."""

Table = Any
"""An Ibis table, or any other that tea-tasting reads, with the columns of `experiment_users`."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Aggregates by (variant, activity) of users who saw one variant, and how many saw several.

    `outdated` are days that got rows since they were last summed up: late rows, not in here. Of `missing` days, the
    pre-period's included, no row ever came.
    """

    through: date
    cells: "dict[tuple[str, str], Aggregates]"
    several_variants: int
    outdated: tuple[date, ...] = ()
    missing: tuple[date, ...] = ()

    def users(self, variant: str, activity: str | None = None) -> int:
        return sum(cell.count() for cell in self._cells(variant, activity))

    def arm(self, variant: str, activity: str | None = None) -> "Aggregates":
        """The aggregates of a variant, of all its users or those of one activity; there must be some."""
        return reduce(add, self._cells(variant, activity))

    @property
    def variants(self) -> Collection[str]:
        """The variants that users were seen in, planned or not."""
        return {variant for variant, _ in self.cells}

    def _cells(self, variant: str, activity: str | None) -> "list[Aggregates]":
        named = [activity] if activity else [seen for arm, seen in self.cells if arm == variant]
        return [self.cells[variant, name] for name in named if (variant, name) in self.cells]


class BlockedError(CheckFailedError):
    """Data of which nothing may be said; it keeps what is known of them all the same."""

    def __init__(
        self, reason: str, *, population: Population | None = None, sample_ratio: SampleRatio | None = None
    ) -> None:
        super().__init__(reason)
        self.population = population
        self.sample_ratio = sample_ratio


class ReadMoments(Protocol):
    """Brings the moments of everybody exposed up to `through`, of one surface or of all."""

    def __call__(self, *, through: date, surface: Surface | None = None) -> Moments: ...


def read_moments(table: Table, metrics: Iterable[Metric], *, through: date) -> Moments:
    """Two statements over `table` (an Ibis table): users who saw several variants, then all cells' moments."""
    from tea_tasting.aggr import read_aggregates

    single = table.filter(table["variants_seen"] == 1)
    followed = (single["first_exposed_on"] <= through - timedelta(days=FOLLOWED_DAYS)).cast("int64")
    rows = single.mutate(
        **{
            "cell": single["variant"].cast("string") + "|" + single["activity"].cast("string"),
            FOLLOWED_WEEK: followed,
            RETAINED_WEEK: followed * single["retained"].cast("int64"),
        }
    )
    needed = needed_columns(metrics)
    cells = read_aggregates(
        rows,
        "cell",
        has_count=True,
        mean_cols=needed.mean_cols,
        var_cols=needed.var_cols,
        cov_cols=needed.cov_cols,
    )
    several = int(table.filter(table["variants_seen"] > 1).count().execute())
    split = {cell_of(str(name)): _without_nan(cell) for name, cell in cells.items()}
    return Moments(through, split, several)


def needed_columns(metrics: Iterable[Metric]) -> Any:
    """tea-tasting's `AggrCols` of all `metrics`, with and without CUPED, and of the pre-period's balance."""
    from tea_tasting.metrics import Mean, RatioOfMeans

    wanted = [
        RatioOfMeans(metric.numerator, metric.denominator, metric.covariate, metric.covariate_denominator).aggr_cols
        for metric in metrics
    ]
    return reduce(lambda one, other: one | other, [*wanted, *(Mean(column).aggr_cols for column in BALANCED)])


def cell_of(name: str) -> tuple[str, str]:
    """Variant and activity of a cell's name; neither has a bar in it."""
    variant, _, activity = name.partition("|")
    return variant, activity


def _without_nan(cell: "Aggregates") -> "Aggregates":
    """A cell of one user has no variance; as a part of a sum it counts as 0."""
    from tea_tasting.aggr import Aggregates

    if cell.count() > 1:
        return cell
    return Aggregates(1, cell.mean_, dict.fromkeys(cell.var_, 0.0), dict.fromkeys(cell.cov_, 0.0))


class Opened(NamedTuple):
    """A per-user table, the days of it that got rows since they were last summed up, and those that never got any."""

    table: Table
    outdated: tuple[date, ...] = ()
    missing: tuple[date, ...] = ()


OpenTable = Callable[[date, Surface | None], Opened]
"""Opens the per-user table of everybody exposed up to a day, of one surface or of all."""


def reader(open_table: OpenTable, metrics: Sequence[Metric]) -> ReadMoments:
    """Reads the moments of `metrics` from the tables that `open_table` opens."""

    def read(*, through: date, surface: Surface | None = None) -> Moments:
        kept = [metric for metric in metrics if surface is None or metric.by_surface]
        opened = open_table(through, surface)
        moments = read_moments(opened.table, kept, through=through)
        return replace(moments, outdated=opened.outdated, missing=opened.missing)

    return read


def warehouse_tables(address: WarehouseAddress, experiment: Experiment) -> OpenTable:
    """Builds each table in the warehouse when it is opened, and reads it through Ibis.

    Raises `CheckFailedError` at once when users were exposed to a variant that the experiment does not have, and
    `DependencyError` when the warehouse does not answer.
    """
    import ibis

    client = connect(address)
    counts = exposure_counts(client, experiment)
    if counts.unknown:
        seen = ", ".join(f"{unknown.variant} ({unknown.users} users)" for unknown in counts.unknown)
        raise BlockedError(f"{experiment.experiment_id}: users saw {seen}, which is no variant of it; no verdict")
    first_day = min((first.day for first in counts.by_day), default=None)
    with asking(str(address)):
        tables = ibis.clickhouse.connect(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            database=address.database,
            secure=address.secure,
        )

    def open_table(through: date, surface: Surface | None) -> Opened:
        if first_day is None or through < first_day:
            return Opened(tables.table(TABLE).filter(ibis.literal(value=False)))
        built = build_users(client, experiment, through=through, surface=surface)
        with asking(f"{built.table} of {experiment.experiment_id}"):
            rows = tables.table(built.table)
            wanted = rows.filter([rows[column] == value for column, value in built.where.items()])
        return Opened(wanted, built.outdated, built.missing)

    return open_table


def population_of(experiment: Experiment, moments: Moments, *, cuped: bool) -> Population:
    """Who was counted; raises `BlockedError` when there is nobody, an arm is empty or unknown, or too many users
    saw several arms.
    """
    name, window = experiment.experiment_id, f"{experiment.starts_on} to {moments.through}"
    arms = tuple(ArmCount(arm.name, arm.share, moments.users(arm.name)) for arm in experiment.variants)
    population = Population(
        since=experiment.starts_on,
        through=moments.through,
        users=sum(arm.users for arm in arms),
        several_variants=moments.several_variants,
        arms=arms,
        cuped=cuped,
    )
    planned = {arm.variant for arm in arms}
    if unknown := sorted(set(moments.variants) - planned):
        seen = ", ".join(unknown)
        raise BlockedError(f"{name}: users saw {seen}, which is no variant of it; no verdict", population=population)
    if population.users + population.several_variants == 0:
        raise BlockedError(f"{name}: nobody was exposed in {window}; no verdict", population=population)
    if empty := [arm.variant for arm in arms if arm.users == 0]:
        lacking = ", ".join(empty)
        raise BlockedError(f"{name}: {lacking} has no users in {window}; no verdict", population=population)
    if moments.through in moments.missing:
        last = max((day for day in _days(experiment, moments.through) if day not in moments.missing), default=None)
        rule = f"; analyse --through {last}" if last else ""
        raise BlockedError(f"{name}: no row came of {moments.through}, no verdict{rule}", population=population)
    if population.several_variants_share > MOST_IN_SEVERAL:
        raise BlockedError(
            f"{name}: {population.several_variants} users ({population.several_variants_share:.1%}) saw several "
            f"variants, must be {MOST_IN_SEVERAL:.0%} or fewer; no verdict",
            population=population,
        )
    return population


def _days(experiment: Experiment, through: date) -> list[date]:
    """The experiment's days up to `through`."""
    return [
        experiment.starts_on + timedelta(days=number) for number in range((through - experiment.starts_on).days + 1)
    ]


def sample_ratio_of(experiment: Experiment, moments: Moments, population: Population) -> SampleRatio:
    """The arms' sizes against the plan; raises `BlockedError` when they alarm."""
    names = [arm.variant for arm in population.arms]
    checked = check_sample_ratio(
        population.arms,
        {activity: [moments.users(name, activity) for name in names] for activity in ACTIVITIES},
        [moments.arm(name) for name in names] if population.cuped else [],
    )
    if not checked.alarms:
        return checked
    sizes = ", ".join(f"{arm.variant} {arm.users} (planned {arm.share:.1%})" for arm in checked.arms)
    tests = {
        "sizes of the arms": checked.p_value,
        "sizes within segments of activity": checked.segments_p_value,
        "what arms did before the start": checked.balance_p_value,
    }
    found = ", ".join(f"{test} p = {p:.2g}" for test, p in tests.items() if p is not None and p < checked.threshold)
    raise BlockedError(
        f"{experiment.experiment_id}: sample-ratio check failed at {checked.threshold:g}: {found}; users: {sizes}; "
        "users were lost or arms are not comparable, no verdict",
        population=population,
        sample_ratio=checked,
    )
