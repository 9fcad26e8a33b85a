"""An experiment, and a log of what its users did, that tests of its tables share.

It runs from day 10 to day 19 after a pre-period of 8 days: days 2 to 9.
"""

from datetime import date, timedelta
from typing import Any

from contracts.experiments import Experiment, MetricName, Subject, Variant
from contracts.viewers import ExperimentExposure, Impression, Surface, UserReport, UserSession
from tests.warehouse.viewers import DAY_0, exposure, impression, report, session
from warehouse.address import Client
from warehouse.daily import days_to_rebuild, rebuild
from warehouse.experiments import UserTable, build_users
from warehouse.sink import EventSink


def day(number: int) -> date:
    return DAY_0.date() + timedelta(days=number)


EXPERIMENT = Experiment(
    experiment_id="demotion",
    hypothesis="Demoting toxic videos lowers the report rate.",
    subject=Subject.RANKING,
    layer="ranking",
    buckets=(0, 10_000),
    salt="s",
    variants=(Variant(name="control", share=0.5), Variant(name="treatment", share=0.5)),
    primary=MetricName.REPORT_RATE,
    metrics=(MetricName.REPORT_RATE,),
    starts_on=day(10),
    ends_on=day(19),
    pre_period_days=8,
    smallest_effect=0.1,
)
THROUGH = day(19)


class Log:
    """Events of a few users, inserted as they are told; `done` brings the daily tables up to date."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._events = 0

    def _number(self) -> int:
        self._events += 1
        return self._events

    def seen(self, user: str, on: float, **replaced: Any) -> None:
        EventSink(self._client, Impression).insert([impression(self._number(), user, on, **replaced)])

    def reported(self, user: str, on: float, **replaced: Any) -> None:
        EventSink(self._client, UserReport).insert([report(self._number(), user, on, **replaced)])

    def visited(self, user: str, on: float, seconds: float = 60.0) -> None:
        EventSink(self._client, UserSession).insert([session(self._number(), user, on, seconds)])

    def exposed(self, user: str, on: float, variant: str = "control", **replaced: Any) -> None:
        EventSink(self._client, ExperimentExposure).insert([exposure(user, on, variant, **replaced)])

    def done(self) -> None:
        rebuild(self._client, [due.day for due in days_to_rebuild(self._client)])

    def row(self, user: str, columns: str, *, surface: str = "all", through: date = THROUGH) -> tuple[Any, ...]:
        rows = self._client.query(
            f"SELECT {columns} FROM experiment_users "
            "WHERE user_id = {user:String} AND surface = {surface:String} AND through = {through:Date}",
            {"user": user, "surface": surface, "through": through},
        ).result_rows
        assert len(rows) == 1, rows
        return tuple(rows[0])

    def build(self, through: date = THROUGH, surface: Surface | None = None, **changed: Any) -> UserTable:
        experiment = EXPERIMENT.model_copy(update=changed)
        return build_users(self._client, experiment, through=through, surface=surface)
