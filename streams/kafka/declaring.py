"""A cluster in, its topics as declared out: read what it has, create and mend what it lacks."""

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from contracts.errors import DependencyError
from streams.kafka.connection import Connection
from streams.kafka.reaching import Reasons, metadata
from streams.kafka.topics import PARTITIONS, Declaration, Lack, declared, lacking

ANSWER_S = 30.0


class Cluster:
    """The topics of a running cluster; each method raises `DependencyError` with the cluster's own reason."""

    def __init__(self, connection: Connection) -> None:
        self._servers = connection.servers
        self._reasons = Reasons()
        self._admin = AdminClient(connection.client({"log_level": 0, "error_cb": self._reasons.note}))

    def brokers(self, *, within_s: float = ANSWER_S) -> int:
        """How many brokers are in the cluster now."""
        return len(self._metadata(within_s).brokers)

    def wanted(self, *, partitions: int = PARTITIONS) -> tuple[Declaration, ...]:
        """The declaration for a cluster of this size."""
        return declared(brokers=self.brokers(), partitions=partitions)

    def found(self, names: Sequence[str]) -> dict[str, Declaration]:
        """Those of the topics that are there, as they are."""
        present = {name: topic for name, topic in self._metadata().topics.items() if name in names}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in present]
        described = self._admin.describe_configs(resources) if resources else {}
        settings = {
            resource.name: {name: entry.value for name, entry in self._done(future, "settings of topics").items()}
            for resource, future in described.items()
        }
        return {
            name: Declaration(
                name,
                len(topic.partitions),
                min((len(partition.replicas) for partition in topic.partitions.values()), default=0),
                settings[name],
            )
            for name, topic in present.items()
        }

    def lack(self, *, partitions: int = PARTITIONS) -> Lack:
        """What the cluster lacks of the declaration."""
        wanted = self.wanted(partitions=partitions)
        return lacking(wanted, self.found([one.name for one in wanted]))

    def mend(self, lack: Lack) -> None:
        """Create topics, add partitions, set settings; what another did at the same time is fine."""
        new = [NewTopic(one.name, one.partitions, one.copies, config=dict(one.settings)) for one in lack.topics]
        if new:
            self._all(self._admin.create_topics(new), unless=KafkaError.TOPIC_ALREADY_EXISTS)
        if more := [NewPartitions(name, count) for name, count in lack.partitions.items()]:
            self._all(self._admin.create_partitions(more), unless=KafkaError.INVALID_PARTITIONS)
        if changed := [_change(name, settings) for name, settings in lack.settings.items()]:
            self._all(self._admin.incremental_alter_configs(changed))

    def _metadata(self, within_s: float = ANSWER_S) -> Any:
        return metadata(self._admin, self._reasons, self._servers, within_s=within_s)

    def _all(self, futures: Mapping[Any, Any], *, unless: int | None = None) -> None:
        for subject, future in futures.items():
            self._done(future, getattr(subject, "name", str(subject)), unless=unless)

    def _done(self, future: Any, subject: str, *, unless: int | None = None) -> Any:
        try:
            return future.result(timeout=ANSWER_S)
        except KafkaException as error:
            if unless is not None and error.args[0].code() == unless:
                return None
            raise DependencyError(f"broker {self._servers} refused {subject}: {error.args[0].str()}") from error


def _change(name: str, settings: Mapping[str, str]) -> ConfigResource:
    entries = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in settings.items()]
    return ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
