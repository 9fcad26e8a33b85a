"""What the gate said of a release, kept beside the releases: written, read, and asked for before a promotion."""

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from contracts.errors import BadInputError, CheckFailedError, first_reason
from contracts.releases import GateResult, Pin, PointerMove
from serving.releases import MANIFEST, ReleaseFolder, ReleasesRoot, digest_of


def read_gate_result(root: ReleasesRoot, version: int) -> GateResult | None:
    """What the gate said last of the release of this root, or None; what it said of another is not told."""
    result = _read_gate_file(root.gate_path(version))
    if result is None or result.candidate != digest_of(root.release_path(version) / MANIFEST):
        return None
    return result


def _read_gate_file(path: Path) -> GateResult | None:
    if not path.exists():
        return None
    try:
        return GateResult.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadInputError(f"{path}: {first_reason(error)}") from error


def write_gate_result(root: ReleasesRoot, result: GateResult) -> Path | None:
    """Keep what the gate said beside the releases, by the candidate's version; None where it has none to read."""
    if result.candidate_version is None:
        return None
    path = root.gate_path(result.candidate_version)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def fallen_groups(result: GateResult) -> list[str]:
    """A line for each group whose recall surely fell: the 95% interval of its gain lies below 0."""
    figures = result.figures
    names = [name.removesuffix(", gain high") for name in figures if name.endswith(", gain high")]
    return [
        f"{name} fell from {figures[f'{name}, parent']:.3f} to {figures[f'{name}, candidate']:.3f}, by "
        f"{-100 * figures[f'{name}, gain high']:.1f} to {-100 * figures[f'{name}, gain low']:.1f} points (95%), "
        f"of {figures[f'{name}, cases']:.0f} cases"
        for name in names
        if name.startswith("recall of ") and figures[f"{name}, gain high"] < 0.0
    ]


def refuse_ungated(root: ReleasesRoot, folder: ReleaseFolder, live: Pin, moves: Sequence[PointerMove]) -> None:
    """Raise `CheckFailedError` unless the gate let this very release pass against the live one; never after a halt.

    `moves`: the root's history, in which a halt stands for good.
    """
    version = folder.release.version
    if version == live.release_version:
        return
    otherwise = f"(release {version}; --without-gate REASON promotes it nevertheless)"
    for move in reversed(moves):
        if move.move == "halt" and move.pin.release_version == version:
            raise CheckFailedError(
                f"halted as {move.seat} on {move.moved_at:%Y-%m-%d %H:%M}: {move.reason} {otherwise}"
            )
    path = root.gate_path(version)
    result = _read_gate_file(path)
    if result is None:
        raise CheckFailedError(f"{path}: is missing, the gate must let a release pass first {otherwise}")
    here, parent = (digest_of(home / MANIFEST) for home in (folder.path, root.release_path(live.release_version)))
    if result.candidate != here:
        raise CheckFailedError(f"{path}: candidate is {result.candidate}, must be {here} {otherwise}")
    if not result.passed:
        raise CheckFailedError(f"{path}: the gate refused it: {result.refusals[0]} {otherwise}")
    if result.parent != parent:
        raise CheckFailedError(
            f"{path}: compared with release {result.parent_version}, {result.parent}, must be compared with what is "
            f"live, release {live.release_version}, {parent} {otherwise}"
        )
