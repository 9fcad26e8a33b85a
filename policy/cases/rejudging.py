"""A ruled video in, the event that has it judged again out: a ruling changes verdicts that are given from then on.

The video that a ruling is about has its verdict already, and keeps it until a casebook that knows the ruling judges it.
"""

import hashlib
from datetime import datetime, timedelta

from contracts.cases import Ruling
from contracts.videos import VideoUploaded


def to_judge_again(upload: VideoUploaded, ruling: Ruling, casebook_version: int, *, now: datetime) -> VideoUploaded:
    """A later version of a ruled upload, otherwise as it was; the same ruling and casebook make the same event id."""
    name = f"{ruling.event_id}/{casebook_version}"
    return upload.model_copy(
        update={
            "event_id": f"ruled-{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}",
            "occurred_at": max(now, upload.occurred_at + timedelta(microseconds=1)),
        }
    )
