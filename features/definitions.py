"""The views as Feast objects: entities, feature views over push and offline sources, the recommender's service.

Register them with `FeatureStore.apply(ALL)`, never with `feast apply` on a folder, which imports every module of
the folder a second time. Importing this module imports Feast.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.types import Array, FeastType, Float32, Int64, String, UnixTimestamp

from features.config import FeaturesConfig
from features.views import VIEWS, Kind, View

_TYPES: dict[Kind, FeastType] = {
    Kind.FLOATS: Array(Float32),
    Kind.FLOAT: Float32,
    Kind.INT: Int64,
    Kind.TEXT: String,
    Kind.TIME: UnixTimestamp,
}


@dataclass(frozen=True, slots=True)
class Definitions:
    """What Feast is told of: `all` is what `FeatureStore.apply` takes."""

    entities: tuple[Entity, ...]
    sources: tuple[DataSource, ...]
    views: tuple[FeatureView, ...]
    services: tuple[FeatureService, ...]

    @property
    def all(self) -> list[Any]:
        return [*self.entities, *self.sources, *self.views, *self.services]


def define(config: FeaturesConfig) -> Definitions:
    """The definitions over the configured offline store; touches neither disk nor network."""
    entities = [Entity(name=v.entity, join_keys=[v.key], value_type=ValueType.STRING) for v in VIEWS]
    sources = [PushSource(name=f"{v.name}_push", batch_source=_history(v, config)) for v in VIEWS]
    views = [_feature_view(view, entity, source) for view, entity, source in zip(VIEWS, entities, sources, strict=True)]
    recommender = FeatureService(name="recommender", features=views)
    return Definitions(tuple(entities), tuple(sources), tuple(views), (recommender,))


def _feature_view(view: View, entity: Entity, source: PushSource) -> FeatureView:
    return FeatureView(
        name=view.name,
        entities=[entity],
        schema=[
            Field(name=view.key, dtype=String),
            *(Field(name=field.name, dtype=_TYPES[field.kind]) for field in view.fields),
        ],
        source=source,
        # Feast enforces a TTL offline and not online. Freshness is checked from the fields, the same way in both.
        ttl=timedelta(0),
        description=(view.record.__doc__ or "").splitlines()[0],
    )


def _history(view: View, config: FeaturesConfig) -> DataSource:
    times = {"timestamp_field": view.occurred, "created_timestamp_column": view.known}
    if config.history_folder is not None:
        path = config.history_folder / f"{view.name}.parquet"
        return FileSource(name=f"{view.name}_parquet", path=str(path), file_format=ParquetFormat(), **times)
    from feast.infra.offline_stores.contrib.clickhouse_offline_store.clickhouse_source import ClickhouseSource

    return ClickhouseSource(name=f"{view.name}_warehouse", table=view.name, **times)


ALL = define(FeaturesConfig()).all
