"""Two addresses in, one open Feast store out: no YAML, no folder of definitions."""

import os
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from contracts.errors import DependencyError
from features.config import FeaturesConfig
from features.online.columns import RowReader
from features.online.readers import open_reader
from features.views import PROJECT

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView, RepoConfig
    from feast.infra.online_stores.online_store import OnlineStore


@dataclass(frozen=True, slots=True)
class OpenStore:
    """Feast opened on its addresses: all of its API, the online store under it, the views by name, a quick reader."""

    config: FeaturesConfig
    feast: "FeatureStore"
    online: "OnlineStore"
    views: Mapping[str, "FeatureView"]
    reader: RowReader

    def apply(self) -> None:
        """Register the definitions and make the online tables; again changes nothing.

        The registry is replaced whole, so that a process that opens the store meanwhile reads the one or the other.
        """
        from feast import FeatureStore

        from features.definitions import define

        registry = self.config.registry_path
        beside = registry.with_name(f"{registry.name}.{os.getpid()}")
        try:
            registry.parent.mkdir(parents=True, exist_ok=True)
            if registry.exists():
                shutil.copyfile(registry, beside)
            FeatureStore(config=_repository(self.config, beside)).apply(define(self.config).all)
            os.replace(beside, registry)
        except (OSError, sqlite3.Error) as error:
            msg = f"features cannot be registered ({registry}, {self.config.shown_online}): {error}"
            raise DependencyError(msg) from error
        finally:
            beside.unlink(missing_ok=True)
        self.feast.refresh_registry()


def open_store(config: FeaturesConfig) -> OpenStore:
    """Open the store, and register the definitions where they are not yet. Imports Feast: takes seconds."""
    from feast import FeatureStore
    from feast.infra.online_stores.helpers import get_online_store_from_config

    from features.definitions import define

    repository = _repository(config, config.registry_path)
    store = OpenStore(
        config=config,
        feast=FeatureStore(config=repository),
        online=get_online_store_from_config(repository.online_store),
        views={view.name: view for view in define(config).views},
        reader=open_reader(
            url=config.redis_url, path=None if config.redis_url else config.sqlite_path, shown=config.shown_online
        ),
    )
    if not _registered(store):
        store.apply()
    return store


def _registered(store: OpenStore) -> bool:
    """Whether the registry has these views, with these fields, over this offline store."""
    if not store.config.registry_path.exists():
        return False
    registered = {view.name: view for view in store.feast.list_feature_views()}
    return all(
        name in registered
        and registered[name].features == view.features
        and registered[name].batch_source == view.batch_source
        for name, view in store.views.items()
    )


def _repository(config: FeaturesConfig, registry: Path) -> "RepoConfig":
    from feast import RepoConfig

    return RepoConfig(
        project=PROJECT,
        provider="local",
        registry=str(registry),
        online_store=_online(config),
        offline_store=_offline(config),
        entity_key_serialization_version=3,
    )


def _online(config: FeaturesConfig) -> dict[str, Any]:
    stores = "features.online.feast_stores"
    if config.redis_url is None:
        config.sqlite_path.parent.mkdir(parents=True, exist_ok=True)
        return {"type": f"{stores}.GuardedSqliteOnlineStore", "path": str(config.sqlite_path)}
    return {"type": f"{stores}.GuardedRedisOnlineStore", "url": config.redis_url}


def _offline(config: FeaturesConfig) -> dict[str, Any]:
    if config.history_folder is not None:
        return {"type": "duckdb"}
    url = urlsplit(config.offline)
    return {
        "type": "clickhouse",
        "host": url.hostname or "127.0.0.1",
        "port": url.port or (8443 if url.scheme == "https" else 8123),
        "user": unquote(url.username or "default"),
        "password": unquote(url.password or ""),
        "database": url.path.strip("/") or "default",
        # Without it a feature that is missing reads as 0.0, not as null.
        "additional_client_args": {
            "settings": {"join_use_nulls": 1},
            **({"secure": True} if url.scheme == "https" else {}),
        },
    }
