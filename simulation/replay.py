"""KuaiMod records -> uploads at a steady rate, as if they came in now, their labels apart."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from contracts.kuaimod import KuaiModRecord, read_kuaimod
from contracts.records import Id, Record
from contracts.taxonomy import Category
from contracts.videos import VideoUploaded
from simulation.lines import folder_to_write, write_lines


class Label(Record):
    """What the benchmark says a video is; never part of an event."""

    video_id: Id
    category: Category


def replay(records: Iterable[KuaiModRecord], start: datetime, rate_per_s: float) -> Iterator[VideoUploaded]:
    """Yield each record as an upload, the first at `start`, then `rate_per_s` a second."""
    for number, record in enumerate(records):
        yield record.to_upload(occurred_at=start + timedelta(seconds=number / rate_per_s))


def write_replay(file: Path, out: Path, start: datetime, rate_per_s: float) -> int:
    """Write a benchmark file as uploads.jsonl and truth.jsonl under `out`; returns how many."""
    records = list(read_kuaimod(file))
    folder = folder_to_write(out)
    labels = (Label(video_id=r.to_upload().video_id, category=r.category) for r in records)
    write_lines(folder / "truth.jsonl", labels)
    write_lines(folder / "uploads.jsonl", replay(records, start, rate_per_s))
    return len(records)
