"""Consumer groups in, how far each is behind out: whether everything that was there at a moment is committed."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from confluent_kafka import Consumer, KafkaException, TopicPartition

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
    """Asks Kafka how far groups are, without joining them; one that does not answer is asked again.

    A consumer of each group asks: librdkafka's administration client ends the process when a broker goes away while
    it asks for a topic's ends.
    """

    def __init__(self, kafka: Connection) -> None:
        self._kafka = kafka
        self._askers: dict[str, Consumer] = {}

    def answers(self) -> bool:
        """Whether the broker does."""
        try:
            self._asker("nobody").list_topics(timeout=_ANSWER_S)
        except KafkaException:
            return False
        return True

    def pass_now(self, groups: Mapping[str, Sequence[Topic]], *, within_s: float) -> dict[str, float | None]:
        """Wait until each group committed past all that lies in its topics now; when it had, in seconds since 1970."""
        until = time.monotonic() + within_s
        passed_s: dict[str, float | None] = dict.fromkeys(groups)
        ends: list[tuple[str, TopicPartition]] = []
        while time.monotonic() < until:
            with suppress(KafkaException):  # while it is away, it is waited for
                ends = ends or [(group, end) for group, some in groups.items() for end in self._ends(group, some)]
                ends = [(group, end) for group, end in ends if not self._passed(group, end)]
                behind = {group for group, _ in ends}
                for group, at_s in passed_s.items():
                    if at_s is None and group not in behind:
                        passed_s[group] = time.time()
                if not ends:
                    break
            time.sleep(LOOK_EVERY_S)
        return passed_s

    def close(self) -> None:
        for asker in self._askers.values():
            asker.close()

    def _asker(self, group: str) -> Consumer:
        if group not in self._askers:
            settings = {"group.id": group, "enable.auto.commit": False, "log_level": 0}
            self._askers[group] = Consumer(self._kafka.client(settings))
        return self._askers[group]

    def _ends(self, group: str, topics: Sequence[Topic]) -> list[TopicPartition]:
        asker = self._asker(group)
        found = []
        for topic in topics:
            for partition in asker.list_topics(topic.name, timeout=_ANSWER_S).topics[topic.name].partitions:
                _, end = asker.get_watermark_offsets(TopicPartition(topic.name, partition), timeout=_ANSWER_S)
                if end > 0:
                    found.append(TopicPartition(topic.name, partition, end))
        return found

    def _passed(self, group: str, end: TopicPartition) -> bool:
        [committed] = self._asker(group).committed([TopicPartition(end.topic, end.partition)], timeout=_ANSWER_S)
        return bool(committed.offset >= end.offset)
