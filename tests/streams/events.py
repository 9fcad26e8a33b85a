"""Raw events for tests: what a topic would hold."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@dataclass(slots=True)
class Raw:
    """One record of `videos.uploaded`."""

    value: bytes | None
    offset: int = 0
    topic: str = "videos.uploaded"
    partition: int = 1
    timestamp: float = NOW.timestamp()
    key: bytes | None = b"v"


def upload(name: str, **changes: Any) -> dict[str, Any]:
    """A small valid upload as JSON fields; a change to None leaves the field out."""
    fields = {
        "event_id": f"e-{name}",
        "video_id": f"v-{name}",
        "author_id": "a-1",
        "occurred_at": NOW.isoformat(),
        "title": "a title",
    } | changes
    return {field: value for field, value in fields.items() if value is not None}


def raw(name: str, *, offset: int = 0, **changes: Any) -> Raw:
    return Raw(json.dumps(upload(name, **changes), ensure_ascii=False).encode(), offset)
