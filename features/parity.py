"""What the ranker reads online held against what training reads offline: the same entities, the same moment.

A row is compared feature by feature where both sides hold the same scoring of the same video; where one side is behind
the other, or has no row, that is counted instead: a value that is on its way is late, not wrong.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

from features.lookup import Freshness, lookup, read_rows
from features.store import OpenStore
from features.training_set import ensure_histories, training_set
from features.views import VIDEO_TOXICITY, FeatureField, Kind, View

WINDOW = timedelta(hours=24)
"""Videos of which a version came to be within this long are drawn from."""
STATE = "state"
"""Stands beside a view's features: fresh, expired or unknown, as a lookup says."""


class Seen(NamedTuple):
    """A row as one side has it: when it was scored (whole seconds since 1970), its state, its values by feature."""

    scored_s: int
    state: str
    values: Mapping[str, Any]


class FeatureParity(NamedTuple):
    """One feature over the rows compared; the largest absolute difference is None where none is between numbers."""

    feature: str
    compared: int
    equal: int
    max_difference: float | None

    @property
    def equal_share(self) -> float:
        return self.equal / self.compared if self.compared else 1.0


class ViewParity(NamedTuple):
    """One view: what was sampled, what is missing or behind on which side, what has expired, and its features."""

    view: str
    sampled: int
    missing_online: int
    missing_offline: int
    behind_online: int
    behind_offline: int
    expired_online: int
    expired_offline: int
    features: tuple[FeatureParity, ...]

    def share(self, count: int) -> float:
        return count / self.sampled if self.sampled else 0.0


@dataclass(frozen=True, slots=True)
class ParityLimits:
    """From where parity counts as drift: shares of the sample, and of the rows compared.

    A verdict reaches the online store before it is acknowledged, the warehouse within seconds: 1 video in 100 may be
    on its way to either. Values of one scoring must agree, all of them, to `tolerance` (both sides keep 32 bits).
    """

    missing_share: float = 0.01
    behind_share: float = 0.01
    unequal_share: float = 0.0
    tolerance: float = 1e-6


def measure(
    store: OpenStore,
    *,
    sample: int,
    seed: int,
    now: datetime,
    video_ids: Sequence[str] = (),
    window: timedelta = WINDOW,
) -> ViewParity:
    """Compare these videos, or `sample` of those of the last `window`, drawn by a salted hash of their id.

    Raises `DependencyError` when the online store cannot be read.
    """
    ids = list(dict.fromkeys(video_ids)) or draw(offline_ids(store, since=now - window, until=now), sample, seed=seed)
    offline = offline_rows(store, ids, now)  # first: what is written meanwhile is then ahead online, as it always is
    return compare(VIDEO_TOXICITY, ids, online_rows(store, ids, now), offline)


def compare(
    view: View, ids: Sequence[str], online: Mapping[str, Seen], offline: Mapping[str, Seen], *, tolerance: float = 1e-6
) -> ViewParity:
    """Count, over the sampled ids, what differs between the two sides."""
    both = [(online[one], offline[one]) for one in ids if one in online and one in offline]
    same = [(on, off) for on, off in both if on.scored_s == off.scored_s]
    features = [_feature(field, same, tolerance) for field in view.fields]
    states = sum(on.state == off.state for on, off in same)
    return ViewParity(
        view=view.name,
        sampled=len(ids),
        missing_online=sum(one not in online for one in ids),
        missing_offline=sum(one not in offline for one in ids),
        behind_online=sum(on.scored_s < off.scored_s for on, off in both),
        behind_offline=sum(on.scored_s > off.scored_s for on, off in both),
        expired_online=_expired(online, ids),
        expired_offline=_expired(offline, ids),
        features=(*features, FeatureParity(STATE, len(same), states, None)),
    )


def drift(parity: ViewParity, limits: ParityLimits) -> tuple[str, ...]:
    """Why this is drift, a reason each; empty where it is none."""
    counts = {
        "missing online": (parity.missing_online, limits.missing_share),
        "missing offline": (parity.missing_offline, limits.missing_share),
        "behind online": (parity.behind_online, limits.behind_share),
        "behind offline": (parity.behind_offline, limits.behind_share),
    }
    reasons = [
        f"{parity.view}: {count:,} of {parity.sampled:,} {what}, must be at most {at_most:.1%}"
        for what, (count, at_most) in counts.items()
        if parity.share(count) > at_most
    ]
    for feature in parity.features:
        if 1.0 - feature.equal_share > limits.unequal_share:
            unequal = feature.compared - feature.equal
            by = "" if feature.max_difference is None else f" by up to {feature.max_difference:.3g}"
            rule = f"must be at most {limits.unequal_share:.1%}"
            reasons.append(f"{parity.view}.{feature.feature}: {unequal:,} of {feature.compared:,} differ{by}, {rule}")
    return tuple(reasons)


def lines_of(parity: ViewParity) -> list[str]:
    """The table that people read."""
    sides = [("online", parity.missing_online, parity.behind_online, parity.expired_online)]
    sides.append(("offline", parity.missing_offline, parity.behind_offline, parity.expired_offline))
    lines = [f"{parity.view}, {parity.sampled:,} sampled"]
    lines += [
        f"  {side:<8} {missing:,} missing, {behind:,} behind, {old:,} expired" for side, missing, behind, old in sides
    ]
    lines.append(f"  {'feature':<26} {'compared':>9} {'equal':>8} {'max difference':>15}")
    for feature in parity.features:
        difference = "" if feature.max_difference is None else f"{feature.max_difference:.3g}"
        lines.append(
            f"  {feature.feature:<26} {feature.compared:>9,} {feature.equal_share:>8.2%} {difference:>15}".rstrip()
        )
    return lines


def to_document(parity: ViewParity) -> dict[str, Any]:
    """As JSON: the counts by name, the features as records."""
    return {**parity._asdict(), "features": [feature._asdict() for feature in parity.features]}


def draw(ids: Iterable[str], sample: int, *, seed: int) -> list[str]:
    """`sample` of the ids, the same for the same seed whatever their order."""
    salt = seed.to_bytes(16, "little", signed=True)
    return sorted(ids, key=lambda one: blake2b(one.encode(), digest_size=8, salt=salt).digest())[:sample]


def offline_ids(store: OpenStore, *, since: datetime, until: datetime) -> list[str]:
    """The videos of which a version came to be in the window, by Feast's own reading of the offline store."""
    if store.config.history_folder is not None:
        ensure_histories(store.config.history_folder)
    view = store.views[VIDEO_TOXICITY.name]
    job = store.feast._get_provider().offline_store.pull_latest_from_table_or_query(
        config=store.feast.config,
        data_source=view.batch_source,
        join_key_columns=[VIDEO_TOXICITY.key],
        feature_name_columns=[],
        timestamp_field=VIDEO_TOXICITY.occurred,
        created_timestamp_column=VIDEO_TOXICITY.known,
        start_date=since.astimezone(UTC),
        end_date=until.astimezone(UTC),
    )
    ids: list[str] = job.to_arrow()[VIDEO_TOXICITY.key].to_pylist()
    return ids


def offline_rows(store: OpenStore, ids: Sequence[str], at: datetime) -> dict[str, Seen]:
    """The rows that a training set of this moment would hold."""
    import polars as pl

    if not ids:
        return {}
    rows = pl.DataFrame({VIDEO_TOXICITY.key: ids}).with_columns(
        event_timestamp=pl.lit(at).dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    )
    prefix = f"{VIDEO_TOXICITY.name}__"
    joined = training_set(store, rows).to_dicts()
    found = {row[VIDEO_TOXICITY.key]: {k.removeprefix(prefix): v for k, v in row.items()} for row in joined}
    return {
        one: Seen(
            int(row["scored_at"].timestamp()),
            row[STATE],
            {field.name: _plain(field, row[field.name]) for field in VIDEO_TOXICITY.fields},
        )
        for one, row in found.items()
        if row["scored_at"] is not None
    }


def online_rows(store: OpenStore, ids: Sequence[str], at: datetime) -> dict[str, Seen]:
    """The rows that a lookup reads, and the state that it gives each."""
    states = lookup(store, ids, at).state_N.tolist()
    found = {}
    for one, state, (_, row) in zip(ids, states, read_rows(store, VIDEO_TOXICITY, ids), strict=True):
        if row is not None:
            values = {field.name: _stored(row[field.name]) for field in VIDEO_TOXICITY.fields}
            found[one] = Seen(values["scored_at"], Freshness(state).name.lower(), values)
    return found


def _stored(value: Any) -> Any:
    """A Feast `Value` as a plain one, None where it is empty."""
    kind = value.WhichOneof("val")
    if kind is None:
        return None
    held = getattr(value, kind)
    return list(held.val) if kind.endswith("_list_val") else held


def _plain(field: FeatureField, value: Any) -> Any:
    # The online store keeps whole seconds.
    return int(value.timestamp()) if field.kind is Kind.TIME and value is not None else value


def _feature(field: FeatureField, pairs: Sequence[tuple[Seen, Seen]], tolerance: float) -> FeatureParity:
    equal, largest = 0, None
    for online, offline in pairs:
        one, other = online.values[field.name], offline.values[field.name]
        if field.kind is Kind.TEXT:  # rows that were written before a field was, lack it: nothing is said either way
            one, other = one or None, other or None
        difference = _difference(one, other)
        if difference is not None:
            largest = max(difference, largest or 0.0)
        equal += one == other if difference is None else difference <= tolerance
    return FeatureParity(field.name, len(pairs), equal, largest)


def _difference(one: Any, other: Any) -> float | None:
    """The largest absolute difference of two numbers or of two lists of as many; None for anything else."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max((abs(a - b) for a, b in zip(one, other, strict=True)), default=0.0)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return float(abs(one - other))
    return None


def _expired(side: Mapping[str, Seen], ids: Sequence[str]) -> int:
    expired = Freshness.EXPIRED.name.lower()
    return sum(one in side and side[one].state == expired for one in ids)
