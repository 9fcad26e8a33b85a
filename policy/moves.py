"""What happened to a releases root, a line each, out and in: every move of its pointer, never rewritten."""

import os
from collections.abc import Sequence
from pathlib import Path

from contracts.lines import read_lines
from contracts.records import Record
from contracts.releases import Pin, PointerMove
from serving.releases import ReleasesRoot


def read_history(root: ReleasesRoot) -> list[PointerMove]:
    """Every move of the pointer, oldest first; none where nothing was promoted. Raises `BadInputError` by line."""
    return list(read_lines(root.history_path, PointerMove)) if root.history_path.exists() else []


def remember(root: ReleasesRoot, move: PointerMove) -> None:
    """Add a line to the history of a root; the caller has its turn at the pointer."""
    add_line(root.history_path, move)


def add_line(path: Path, record: Record) -> None:
    """Add a record to a file of JSON lines; it is on the disk when this returns."""
    with path.open("a", encoding="utf-8") as lines:
        lines.write(record.model_dump_json() + "\n")
        lines.flush()
        os.fsync(lines.fileno())


def live_before(pin: Pin, moves: Sequence[PointerMove]) -> Pin | None:
    """What was live when the release of `pin` was last promoted in the place of another release."""
    version = pin.release_version
    return next(
        (
            move.live_before
            for move in reversed(moves)
            if move.move == "promote"
            and move.seat == "live"
            and move.pin.release_version == version
            and (move.live_before is None or move.live_before.release_version != version)
        ),
        None,
    )
