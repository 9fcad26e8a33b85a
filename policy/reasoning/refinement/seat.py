"""Which VLM rules: a root with its checkpoints, a pointer and its history; moved by one rename, after a passed gate.

ROOT/checkpoints/<16 hex>   what ruled or rules, by the digest of its weights: hard links where that can be, else copies
ROOT/live.json              the one that rules
ROOT/history.jsonl          every move, oldest first
"""

import os
import shutil
from datetime import datetime
from pathlib import Path

from contracts.errors import BadInputError, CheckFailedError
from contracts.lines import read_lines
from contracts.records import Digest, Record, Time
from policy.kept import cut_half_line, read_whole, turn_in, write_whole
from policy.moves import add_line
from policy.reasoning.models.checkpoint import weights_digest
from policy.reasoning.refinement.gate import VlmGateResult
from policy.releases import new_folder

LIVE, HISTORY, CHECKPOINTS = "live.json", "history.jsonl", "checkpoints"


class VlmSeat(Record):
    """The checkpoint that rules, since when, and the digest of whose place it took.

    learned_until: it learned from the rulings up to then; None where it was deployed by hand.
    """

    weights: Digest
    moved_at: Time
    before: Digest | None = None
    learned_until: Time | None = None


def read_seat(root: Path) -> VlmSeat | None:
    """Which VLM rules; None where none was deployed. Raises `BadInputError` where its weights are other ones now."""
    if not (root / LIVE).is_file():
        return None
    seat = read_whole(root / LIVE, VlmSeat)
    folder = checkpoint_of(root, seat.weights)
    if (found := weights_digest(folder)) != seat.weights:
        raise BadInputError(f"{folder}: weights == {found}, {root / LIVE} says {seat.weights}")
    return seat


def deployed(root: Path) -> Path:
    """The folder of the VLM that rules; raises `BadInputError` where none was deployed."""
    seat = read_seat(root)
    if seat is None:
        raise BadInputError(f"{root}: no VLM is deployed there, name a checkpoint or deploy one first")
    return checkpoint_of(root, seat.weights)


def checkpoint_of(root: Path, weights: Digest) -> Path:
    """Where a checkpoint lies that ruled once."""
    return root / CHECKPOINTS / weights.removeprefix("sha256:")[:16]


def read_moves(root: Path) -> list[VlmSeat]:
    """Every VLM that ruled, oldest first."""
    path = root / HISTORY
    return list(read_lines(path, VlmSeat)) if path.exists() else []


def take_seat(
    root: Path,
    checkpoint: Path,
    gated: VlmGateResult | None,
    *,
    now: datetime,
    learned_until: datetime | None = None,
) -> VlmSeat:
    """Deploy a checkpoint; said again it changes nothing.

    The first needs no gate. Raises `CheckFailedError` where the gate refused it, or was not asked about these very
    weights against the one that rules.
    """
    root.mkdir(parents=True, exist_ok=True)
    with turn_in(root, LIVE):
        live, weights = read_seat(root), weights_digest(checkpoint)
        if live is not None and live.weights == weights:
            return _remembered(root, live)
        if live is not None:
            if gated is None or (gated.candidate, gated.parent) != (weights, live.weights):
                raise CheckFailedError(f"{checkpoint}: the gate was not asked about it against {live.weights}")
            if not gated.passed:
                raise CheckFailedError(f"{checkpoint}: the gate refused it: {'; '.join(gated.refusals)}")
        _admit(root, checkpoint, weights)
        before = None if live is None else live.weights
        return _moved(root, VlmSeat(weights=weights, moved_at=now, before=before, learned_until=learned_until))


def roll_back(root: Path, *, now: datetime) -> VlmSeat:
    """Give the seat back to the VLM before; raises `BadInputError` where there is none."""
    root.mkdir(parents=True, exist_ok=True)
    with turn_in(root, LIVE):
        live = read_seat(root)
        if live is None or live.before is None:
            raise BadInputError(f"{root}: no VLM ruled before {'one' if live is None else live.weights}")
        then = next(move for move in reversed(read_moves(root)) if move.weights == live.before)
        folder = checkpoint_of(root, then.weights)
        if (found := weights_digest(folder)) != then.weights:
            raise BadInputError(f"{folder}: weights == {found}, {root / HISTORY} says {then.weights}")
        return _moved(root, then.model_copy(update={"moved_at": now}))


def _moved(root: Path, seat: VlmSeat) -> VlmSeat:
    write_whole(root / LIVE, seat)
    return _remembered(root, seat)


def _remembered(root: Path, seat: VlmSeat) -> VlmSeat:
    """The seat, a line of the history: one that was killed before its line gets it now."""
    cut_half_line(root / HISTORY)
    if read_moves(root)[-1:] != [seat]:
        add_line(root / HISTORY, seat)
    return seat


def _admit(root: Path, checkpoint: Path, weights: Digest) -> None:
    """Put a checkpoint into the root, so that no run's folder is needed to serve it."""
    home = checkpoint_of(root, weights)
    if home.exists():
        return
    with new_folder(home) as draft:
        for file in sorted(path for path in checkpoint.rglob("*") if path.is_file()):
            there = draft / file.relative_to(checkpoint)
            there.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file.resolve(), there)
            except OSError:
                shutil.copyfile(file, there)
