"""Consumer groups in, how far each is behind out: whether everything that was there at a moment is committed."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from contracts.topics import USERS_REPORTS, VIDEOS_UPLOADED, VIDEOS_VERDICTS, Topic
from streams.kafka.connection import Connection

MODERATION: Mapping[str, Sequence[Topic]] = {"precedent-moderation": [VIDEOS_UPLOADED]}
COPYING: Mapping[str, Sequence[Topic]] = {
    "precedent-sink": [VIDEOS_UPLOADED, VIDEOS_VERDICTS],
    "precedent-recorder": [USERS_REPORTS],
}
LOOK_EVERY_S = 0.1
_ANSWER_S = 2.0


class Groups:
    """Asks Kafka how far groups are; one that does not answer is asked again."""

    def __init__(self, kafka: Connection) -> None:
        self._admin = AdminClient(kafka.client({"log_level": 0}))
        self._partitions: dict[str, list[int]] = {}

    def answers(self) -> bool:
        """Whether the broker does."""
        try:
            self._admin.list_topics(timeout=_ANSWER_S)
        except KafkaException:
            return False
        return True

    def pass_now(self, groups: Mapping[str, Sequence[Topic]], *, within_s: float) -> list[str]:
        """Wait until each group committed past all that lies in its topics now; returns those that have not."""
        until = time.monotonic() + within_s
        ends: dict[tuple[str, int], int] | None = None
        behind = list(groups)
        topics = {topic.name for some in groups.values() for topic in some}
        while time.monotonic() < until:
            with suppress(KafkaException):  # while it is away, it is waited for
                ends = self._ends(topics) if ends is None else ends
                behind = [group for group in behind if not self._passed(group, {t.name for t in groups[group]}, ends)]
                if not behind:
                    break
            time.sleep(LOOK_EVERY_S)
        return behind

    def _ends(self, topics: set[str]) -> dict[tuple[str, int], int]:
        if not topics <= self._partitions.keys():
            found = self._admin.list_topics(timeout=_ANSWER_S).topics
            self._partitions |= {name: list(found[name].partitions) for name in topics}
        wanted = {TopicPartition(n, p): OffsetSpec.latest() for n in topics for p in self._partitions[n]}
        asked = self._admin.list_offsets(wanted, request_timeout=_ANSWER_S)
        return {(place.topic, place.partition): future.result().offset for place, future in asked.items()}

    def _passed(self, group: str, topics: set[str], ends: Mapping[tuple[str, int], int]) -> bool:
        wanted = {place: end for place, end in ends.items() if place[0] in topics and end > 0}
        request = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in wanted])
        [future] = self._admin.list_consumer_group_offsets([request], request_timeout=_ANSWER_S).values()
        committed = {(tp.topic, tp.partition): tp.offset for tp in future.result().topic_partitions}
        return all(committed.get(place, -1) >= end for place, end in wanted.items())
