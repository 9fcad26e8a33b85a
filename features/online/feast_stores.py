"""The guarded stores as Feast knows them: named by class path in a store's config, behind every Feast call.

`get_online_features`, `push`, `materialize` and the feature server read and write the same rows as the writers
of this room. A write replaces an entity's whole row: a feature that it does not give reads as null.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from feast import Entity, FeatureView, RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import compute_table_id, compute_versioned_name
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import RepeatedValue, Value
from feast.repo_config import FeastConfigBaseModel
from pydantic import SecretStr
from redis import Redis
from redis import asyncio as redis_asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from features.online.readers import READ_S
from features.online.redis import GUARDED_WRITE, connection_options, script_calls
from features.online.rows import Row, microseconds
from features.online.sqlite import GuardedTables, pack

Progress = Callable[[int], Any] | None
Given = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
Read = tuple[datetime | None, dict[str, Value] | None]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _rows(config: RepoConfig, names: Sequence[str], data: Sequence[Given]) -> list[Row]:
    version = config.entity_key_serialization_version
    return [
        Row(
            serialize_entity_key(key, entity_key_serialization_version=version),
            microseconds(_aware(event)),
            microseconds(_aware(created)) if created is not None else 0,
            tuple([values[name].SerializeToString() if name in values else b"" for name in names]),
        )
        for key, values, event, created in data
    ]


def _names(table: FeatureView) -> list[str]:
    return [feature.name for feature in table.features]


class GuardedSqliteOnlineStoreConfig(FeastConfigBaseModel):
    """Where the SQLite file lies."""

    type: Literal["features.online.feast_stores.GuardedSqliteOnlineStore"] = (
        "features.online.feast_stores.GuardedSqliteOnlineStore"
    )
    path: str


class GuardedSqliteOnlineStore(OnlineStore):
    """`GuardedTables` behind Feast's interface."""

    _tables: GuardedTables | None = None

    def _open(self, config: RepoConfig) -> GuardedTables:
        if self._tables is None:
            self._tables = GuardedTables(Path(config.online_store.path))
        return self._tables

    @staticmethod
    def _table(config: RepoConfig, table: FeatureView) -> str:
        name: str = compute_table_id(config.project, table, config.registry.enable_online_feature_view_versioning)
        return name

    def online_write_batch(self, config: RepoConfig, table: FeatureView, data: list[Given], progress: Progress) -> None:
        names = _names(table)
        self._open(config).upsert([(self._table(config, table), names, pack(_rows(config, names, data)))])
        if progress:
            progress(len(data))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[Read]:
        version = config.entity_key_serialization_version
        keys = [serialize_entity_key(key, entity_key_serialization_version=version) for key in entity_keys]
        tables, name = self._open(config), self._table(config, table)
        tables.create(name, _names(table))
        found = tables.select(name, keys)
        missing = {
            names: tuple(set(requested_features or ()) - set(names)) for names in {row.names for row in found.values()}
        }
        read: list[Read] = []
        for key in keys:
            row = found.get(key)
            if row is None:
                read.append((None, None))
                continue
            values = dict(zip(row.names, RepeatedValue.FromString(row.values).val, strict=True))
            for absent in missing[row.names]:
                values[absent] = Value()
            read.append((_EPOCH + timedelta(microseconds=row.event_us), values))
        return read

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        tables = self._open(config)
        for table in tables_to_keep:
            tables.create(self._table(config, table), _names(table))
        for table in tables_to_delete:
            tables.drop(self._table(config, table))

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        for table in tables:
            self._open(config).drop(self._table(config, table))
        self._open(config).close()
        self._tables = None


class GuardedRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Feast's Redis settings, for the guarded store, which is named by one URL: a password may hold any character."""

    type: Literal["features.online.feast_stores.GuardedRedisOnlineStore"] = (
        "features.online.feast_stores.GuardedRedisOnlineStore"
    )
    url: SecretStr


class GuardedRedisOnlineStore(RedisOnlineStore):
    """Feast's Redis store with its check-then-write replaced by one atomic script, and absence told apart."""

    _client: Any = None
    _client_async: Any = None

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        if self._client is None:
            # The client's own retries take ten seconds: nobody who reads features can wait so long to hear of it.
            url, retry = online_store_config.url.get_secret_value(), Retry(NoBackoff(), 1)
            self._client = Redis.from_url(url, retry=retry, **connection_options(READ_S))
        return self._client

    async def _get_client_async(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        if self._client_async is None:
            url = online_store_config.url.get_secret_value()
            self._client_async = redis_asyncio.Redis.from_url(url, **connection_options(READ_S))
        return self._client_async

    def online_write_batch(self, config: RepoConfig, table: FeatureView, data: list[Given], progress: Progress) -> None:
        write = self._get_client(config.online_store).register_script(GUARDED_WRITE)
        for keys, arguments in self._calls(config, table, data):
            write(keys=keys, args=arguments)
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self, config: RepoConfig, table: FeatureView, data: list[Given], progress: Progress
    ) -> None:
        client = await self._get_client_async(config.online_store)
        write = client.register_script(GUARDED_WRITE)
        for keys, arguments in self._calls(config, table, data):
            await write(keys=keys, args=arguments)
        if progress:
            progress(len(data))

    @staticmethod
    def _calls(config: RepoConfig, table: FeatureView, data: list[Given]) -> Any:
        names = _names(table)
        view_name = compute_versioned_name(table, config.registry.enable_online_feature_view_versioning)
        return script_calls(view_name, names, _rows(config, names, data), project=config.project)

    def _get_features_for_entity(self, values: Sequence[Any], feature_view: str, requested_features: list[str]) -> Read:
        if values[requested_features.index(f"_ts:{feature_view}")] is None:
            return None, None
        read: Read = super()._get_features_for_entity(values, feature_view, requested_features)
        return read
