"""A Day in, the platform's events out: Arrow columns in the order of their contracts, or the contracts themselves.

Ids are made from the seed and from what an event is about, so the same day gives the same ids: sent again, it is a
replay. Nothing here holds what is true of a video or a viewer.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contracts.experiments import Experiment
from contracts.records import Event
from contracts.taxonomy import CATEGORIES, POSITIVE_INDEX, VIOLATIVE
from contracts.viewers import exposure_id
from simulation.platform import chance
from simulation.platform.chance import Purpose
from simulation.platform.day import Day
from simulation.platform.population import SURFACES, Population

_TIME = pa.timestamp("us", tz="UTC")
_NAMED, _NAMED_RIGHTLY = 0.5, 0.7
"""Half of the reports name a category; of those about violative videos so many name the right one."""
_QUOTE = pa.scalar('"')
E_ = TypeVar("E_", bound=Event)


class EventColumns(NamedTuple):
    """A day's events, a table for each topic: Impression, UserReport, UserSession, ExperimentExposure."""

    impressions: pa.Table
    reports: pa.Table
    sessions: pa.Table
    exposures: pa.Table


def events_of(day: Day, population: Population, experiment: Experiment) -> EventColumns:
    """The events of a day; the arms of `day` are places in the variants of `experiment`."""
    plan = population.plan
    midnight = datetime(plan.begins.year, plan.begins.month, plan.begins.day, tzinfo=UTC) + timedelta(days=day.day)
    users, videos = pa.array(plan.user_ids), _numbered(f"v{plan.seed}-", np.arange(len(population.videos)))
    surface_S = pa.array([one.value for one in SURFACES]).take(pa.array(day.surface_S))
    visit_S = _joined(_text(day.viewer_S), _text(np.full(len(day.viewer_S), day.day)), _text(day.slot_S))
    session_S = _prefixed(f"s{plan.seed}-", visit_S)
    rows = pa.array(day.session_I)
    place_I = _joined(visit_S.take(rows), _text(day.position_I))
    user_I, video_I = users.take(pa.array(day.viewers_of_impressions)), videos.take(pa.array(day.video_I))
    unknown_I = np.isnan(day.toxicity_I)
    version_I = day.releases_of_impressions(plan.release_version)
    impressions = pa.table(
        {
            "event_id": _prefixed(f"i{plan.seed}-", place_I),
            "user_id": user_I,
            "video_id": video_I,
            "session_id": session_S.take(rows),
            "shown_at": _times(midnight, day.shown_ms_I),
            "surface": surface_S.take(rows),
            "watch_ms": pa.array(day.watch_ms_I, pa.uint32()),
            "release_version": pa.array(version_I, mask=unknown_I),
            "toxicity": pa.array(np.nan_to_num(day.toxicity_I), pa.float32(), mask=unknown_I),
        }
    )
    told = pa.array(np.flatnonzero(day.reported_I))
    reports = pa.table(
        {
            "event_id": _prefixed(f"r{plan.seed}-", place_I.take(told)),
            "video_id": video_I.take(told),
            "reporter_id": user_I.take(told),
            "reported_at": _times(midnight, day.shown_ms_I + day.watch_ms_I).take(told),
            "surface": impressions["surface"].combine_chunks().take(told),
            "category": _named_categories(day, population),
        }
    )
    sessions = pa.table(
        {
            "event_id": session_S,
            "user_id": users.take(pa.array(day.viewer_S)),
            "session_id": session_S,
            "started_at": _times(midnight, day.started_ms_S),
            "ended_at": _times(midnight, day.ended_ms_S),
            "impressions": pa.array(np.bincount(day.session_I, minlength=len(day.viewer_S)), pa.uint64()),
        }
    )
    return EventColumns(impressions, reports, sessions, _exposures(day, users, surface_S, midnight, experiment))


def contract_events(columns: pa.Table, contract: type[E_]) -> Iterator[E_]:
    """The rows of a table as events of their contract, validated."""
    for row in columns.to_pylist():
        yield contract.model_validate(row)


def json_lines(columns: pa.Table) -> list[bytes]:
    """The rows of a table as JSON, as they go on a topic: put together column by column, a row costs a microsecond.

    Strings are ids and names of our own, which hold nothing that JSON escapes.
    """
    parts: list[pa.Array | pa.Scalar] = []
    for number, name in enumerate(columns.schema.names):
        values = columns[name].combine_chunks()
        text = values.cast(pa.string())
        if pa.types.is_timestamp(values.type):
            text = pc.replace_substring(text, " ", "T", max_replacements=1)
        if pa.types.is_timestamp(values.type) or pa.types.is_string(values.type):
            text = pc.binary_join_element_wise(_QUOTE, text, _QUOTE, "")
        parts += [pa.scalar(f'{"," if number else "{"}"{name}":'), pc.fill_null(text, "null")]
    lines: list[bytes] = pc.binary_join_element_wise(*parts, pa.scalar("}"), "").cast(pa.binary()).to_pylist()
    return lines


def _exposures(day: Day, users: pa.Array, surface_S: pa.Array, midnight: datetime, experiment: Experiment) -> pa.Table:
    """Each user's first session of the day under an arm."""
    under_arm = np.flatnonzero(day.arm_S >= 0)
    _, first = np.unique(day.viewer_S[under_arm], return_index=True)
    rows = under_arm[first]
    variants = pa.array([variant.name for variant in experiment.variants]).take(pa.array(day.arm_S[rows]))
    user_ids = users.take(pa.array(day.viewer_S[rows]))
    who = zip(variants.to_pylist(), user_ids.to_pylist(), strict=True)
    ids = [exposure_id(experiment.experiment_id, variant, user, midnight.date()) for variant, user in who]
    return pa.table(
        {
            "event_id": pa.array(ids, pa.string()),
            "user_id": user_ids,
            "experiment_id": pa.array([experiment.experiment_id] * len(rows), pa.string()),
            "variant": variants,
            "exposed_at": _times(midnight, day.started_ms_S[rows]),
            "surface": surface_S.take(pa.array(rows)),
        }
    )


def _named_categories(day: Day, population: Population) -> pa.Array:
    """What reporters say is wrong: often nothing, and not always what is."""
    told = np.flatnonzero(day.reported_I)
    session = day.session_I[told]
    drawn = chance.fan(
        chance.keys(
            population.plan.seed,
            Purpose.NAME,
            day.day,
            day.viewer_S[session],
            day.slot_S[session],
            day.position_I[told],
        ),
        1,
    )
    u_names, u_rightly, u_which = (u[:, 0] for u in chance.three_uniforms(drawn))
    truth = population.videos.category_M[day.video_I[told]]
    guessed = np.array([one.position for one in VIOLATIVE])[(u_which * len(VIOLATIVE)).astype(int)]
    named = np.where((u_rightly < _NAMED_RIGHTLY) & (truth != POSITIVE_INDEX), truth, guessed)
    return pa.array([one.value for one in CATEGORIES]).take(pa.array(named, mask=u_names >= _NAMED))


def _times(midnight: datetime, ms: npt.NDArray[Any]) -> pa.Array:
    micros = np.int64(midnight.timestamp()) * 1_000_000 + ms.astype(np.int64) * 1_000
    return pa.array(micros).cast(_TIME)


def _text(numbers: npt.NDArray[Any]) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def _joined(*parts: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "-")


def _prefixed(prefix: str, ids: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(pa.scalar(prefix), ids, "")


def _numbered(prefix: str, numbers: npt.NDArray[Any]) -> pa.Array:
    return _prefixed(prefix, _text(numbers))
