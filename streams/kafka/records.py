"""What the contracts know in, the records that carry it on its topic out."""

from collections.abc import Iterable

from contracts.dead_letters import DeadLetter
from contracts.topics import DEAD_SUFFIX, VIDEOS_UPLOADED
from contracts.videos import VideoUploaded
from streams.kafka.delivery import OutgoingRecord


def of_letters(letters: Iterable[DeadLetter]) -> list[OutgoingRecord]:
    """Each letter beside the topic that its event lay in; without a key, they need no order."""
    return [OutgoingRecord(one.topic + DEAD_SUFFIX, None, one.model_dump_json().encode()) for one in letters]


def of_uploads(versions: Iterable[VideoUploaded]) -> list[OutgoingRecord]:
    """Versions of uploads as the platform sends them, so that a worker judges them like any other."""
    topic = VIDEOS_UPLOADED.name
    return [
        OutgoingRecord(topic, one.video_id.encode(), one.model_dump_json(exclude_none=True).encode())
        for one in versions
    ]
