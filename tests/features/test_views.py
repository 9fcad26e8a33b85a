"""Features are projections of contracts: names, kinds, Feast's objects and the offline columns all agree."""

from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from feast import FeatureView
from feast.types import Array, Float32, Int64, String, UnixTimestamp
from pydantic import AwareDatetime

from contracts.histories import AuthorHistory, ViewerSensitivity, smoothed_share
from contracts.taxonomy import N_CATEGORIES
from contracts.verdicts import Verdict
from features.config import FeaturesConfig
from features.definitions import ALL, define
from features.training_set import history_schema
from features.views import VIEWS, Kind, View
from tests.features.conftest import NOON, verdict

PYTHON_TYPES = {Kind.FLOATS: tuple, Kind.FLOAT: float, Kind.INT: int, Kind.TEXT: str, Kind.TIME: datetime}
FEAST_TYPES = {
    Kind.FLOATS: Array(Float32),
    Kind.FLOAT: Float32,
    Kind.INT: Int64,
    Kind.TEXT: String,
    Kind.TIME: UnixTimestamp,
}


def type_of(view: View, name: str) -> Any:
    """The type of a record's field or property, without what annotates it or makes it optional."""
    if name in view.record.model_fields:
        annotation = view.record.model_fields[name].annotation
    else:
        annotation = get_type_hints(getattr(view.record, name).fget)["return"]
    if get_origin(annotation) is UnionType or NoneType in get_args(annotation):
        [annotation] = [one for one in get_args(annotation) if one is not NoneType]
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    plain = get_origin(annotation) or annotation
    return datetime if plain is AwareDatetime else plain


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_feature_is_a_field_of_its_contract_with_its_type(view: View) -> None:
    for field in view.fields:
        assert issubclass(type_of(view, field.name), PYTHON_TYPES[field.kind]), field
    assert type_of(view, view.key) is str
    assert type_of(view, view.occurred) is datetime
    assert type_of(view, view.known) is datetime


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_feasts_view_has_the_same_fields_in_the_same_order(view: View) -> None:
    [defined] = [each for each in ALL if isinstance(each, FeatureView) and each.name == view.name]
    assert [(f.name, f.dtype) for f in defined.features] == [(f.name, FEAST_TYPES[f.kind]) for f in view.fields]
    assert defined.batch_source.timestamp_field == view.occurred
    assert defined.batch_source.created_timestamp_column == view.known
    assert defined.entities == [view.entity]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_the_history_has_a_column_for_each_field_and_time(view: View) -> None:
    assert set(history_schema(view).names) == {view.key, view.occurred, view.known, *view.field_names}


def test_video_toxicity_has_what_the_recommender_was_promised() -> None:
    assert set(VIEWS[0].field_names) == {
        "probabilities", "toxicity", "decision", "category", "release_version", "casebook_version",
        "taxonomy_version", "scored_at", "expires_at", "candidate_toxicity", "candidate_decision",
        "candidate_release_version", "leaf",
    }  # fmt: skip
    assert len(verdict("video-1").probabilities) == N_CATEGORIES
    assert Verdict in {view.record for view in VIEWS}


def test_no_two_views_have_a_field_of_one_name() -> None:
    names = [name for view in VIEWS for name in view.field_names]
    assert len(names) == len(set(names))


def test_the_warehouse_is_named_by_its_address() -> None:
    definitions = define(FeaturesConfig(offline="http://reader:secret@127.0.0.1:8123/precedent"))
    assert definitions.views[0].batch_source.get_table_query_string() == "video_toxicity"


def test_an_author_with_one_violation_in_three_is_not_taken_for_a_third() -> None:
    history = AuthorHistory.from_counts("author-1", verdicts=3, violative=1, removed=0, as_of=NOON, computed_at=NOON)
    assert history.violative_share == pytest.approx((1 + 1) / (3 + 20))


def test_tolerance_is_the_share_of_toxic_impressions_not_rejected() -> None:
    viewer = ViewerSensitivity.from_counts(
        "user-1",
        impressions=100,
        reports=1,
        toxic_impressions=6,
        toxic_skips=2,
        toxic_rejections=3,
        as_of=NOON,
        computed_at=NOON,
    )
    assert viewer.tolerance == pytest.approx(1 - (3 + 2) / (6 + 4))
    assert viewer.toxic_skip_rate == pytest.approx((2 + 2) / (6 + 4))
    assert viewer.report_rate == pytest.approx((1 + 0.1) / (100 + 100))


def test_a_smoothed_share_without_trials_is_the_prior() -> None:
    assert smoothed_share(0, 0, (1.0, 19.0)) == pytest.approx(0.05)


@pytest.mark.parametrize(("violative", "removed"), [(4, 0), (1, 2)])
def test_counts_that_are_no_parts_of_the_whole_are_refused(violative: int, removed: int) -> None:
    with pytest.raises(ValueError, match="must not decrease in this order"):
        AuthorHistory.from_counts(
            "author-1", verdicts=3, violative=violative, removed=removed, as_of=NOON, computed_at=NOON
        )
