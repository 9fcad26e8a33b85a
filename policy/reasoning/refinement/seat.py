"""Which VLM rules: a root with a pointer and its history, moved by one rename and only after a passed gate.

ROOT/live.json       the checkpoint that is deployed, by its folder and the digest of its weights
ROOT/history.jsonl   every move, oldest first
"""

from datetime import datetime
from pathlib import Path

from contracts.errors import BadInputError, CheckFailedError
from contracts.lines import read_lines
from contracts.records import Digest, Record, Time
from policy.kept import read_whole, write_whole
from policy.moves import add_line
from policy.reasoning.models.checkpoint import weights_digest
from policy.reasoning.refinement.gate import VlmGateResult

LIVE, HISTORY = "live.json", "history.jsonl"


class VlmSeat(Record):
    """The checkpoint that rules, since when, and whose place it took."""

    checkpoint: str
    weights: Digest
    moved_at: Time
    before: str | None = None


def read_seat(root: Path) -> VlmSeat | None:
    """Which VLM rules; None where none was deployed. Raises `BadInputError` where its weights are other ones now."""
    path = root / LIVE
    if not path.is_file():
        return None
    seat = read_whole(path, VlmSeat)
    if (found := weights_digest(Path(seat.checkpoint))) != seat.weights:
        raise BadInputError(f"{seat.checkpoint}: weights == {found}, {path} says {seat.weights}")
    return seat


def deployed(root: Path) -> Path:
    """The folder of the VLM that rules; raises `BadInputError` where none was deployed."""
    seat = read_seat(root)
    if seat is None:
        raise BadInputError(f"{root}: no VLM is deployed there, name a checkpoint or deploy one first")
    return Path(seat.checkpoint)


def read_moves(root: Path) -> list[VlmSeat]:
    """Every VLM that ruled, oldest first."""
    path = root / HISTORY
    return list(read_lines(path, VlmSeat)) if path.exists() else []


def take_seat(root: Path, checkpoint: Path, gated: VlmGateResult | None, *, now: datetime) -> VlmSeat:
    """Deploy a checkpoint; said again it changes nothing.

    The first needs no gate. Raises `CheckFailedError` where the gate refused it, or was not asked about these very
    weights against the one that rules.
    """
    live, weights = read_seat(root), weights_digest(checkpoint)
    if live is not None and live.weights == weights:
        return live
    if live is not None:
        if gated is None or (gated.candidate, gated.parent) != (weights, live.weights):
            raise CheckFailedError(f"{checkpoint}: the gate was not asked about it against {live.checkpoint}")
        if not gated.passed:
            raise CheckFailedError(f"{checkpoint}: the gate refused it: {'; '.join(gated.refusals)}")
    seat = VlmSeat(
        checkpoint=str(checkpoint.resolve()),
        weights=weights,
        moved_at=now,
        before=None if live is None else live.checkpoint,
    )
    root.mkdir(parents=True, exist_ok=True)
    add_line(root / HISTORY, seat)
    write_whole(root / LIVE, seat)
    return seat
