"""`precedent policy gate`: files in, their media decoded, a `GateResult` and its report out."""

import asyncio
from datetime import datetime
from pathlib import Path

from contracts.cases import DecidedCase
from contracts.errors import BadInputError
from contracts.releases import GateResult
from contracts.taxonomy import Category
from policy.evidence import gather, read_cases
from policy.gate.gate import pass_gate
from policy.gate.recorded import Recorded, read_recorded
from policy.score import read_uploads
from serving.preprocess.media import DecodePool, PoolSettings
from serving.releases import open_release


def gate_files(
    candidate: Path,
    parent: Path,
    golden: Path,
    traffic: Path | None,
    *,
    roots: tuple[Path, ...],
    now: datetime,
    verdicts: Path | None = None,
) -> GateResult:
    """Put a candidate through the gate on files; raises `BadInputError` naming what cannot be read.

    `verdicts`: what was decided of the traffic. Of what the parent decided by its own casebook it is not asked again;
    how many verdicts were of others stands among the figures.
    """
    if verdicts is not None and traffic is None:
        raise BadInputError(f"--verdicts {verdicts}: --traffic is not given, must hold the uploads that were decided")
    cases = read_cases(golden)
    recent = list(read_uploads([traffic])) if traffic is not None else []
    before = open_release(parent)
    recorded = Recorded({}, 0, 0)
    if verdicts is not None:
        recorded = read_recorded(verdicts, before.pin, [upload.event_id for upload in recent])
    inputs = before.release.inputs
    pool = PoolSettings(tuple(root.resolve() for root in roots), 2, inputs.n_frames, inputs.frame_px)
    unruled = [
        DecidedCase(case_id=f"recent-{n}", upload=upload, category=Category.POSITIVE, decided_at=upload.occurred_at)
        for n, upload in enumerate(recent)
    ]

    async def decode() -> GateResult:
        async with DecodePool(pool) as decoder:
            evidence = await gather([*cases, *unruled], decoder)
        replayed = [(item.case.upload, item.frames) for item in evidence[len(cases) :]]
        golden_cases = evidence[: len(cases)]
        return pass_gate(candidate, parent, golden_cases, now=now, traffic=replayed, recorded=recorded.decisions)

    result = asyncio.run(decode())
    if verdicts is None or not result.figures:  # a candidate that cannot be served was compared with nothing
        return result
    return result.model_copy(update={"figures": {**result.figures, **recorded.figures}})


def report(result: GateResult) -> str:
    """The result as text: a line for each comparison with its interval, other figures, rulings overturned, reasons."""
    figures = dict(result.figures)
    compared = [name.removesuffix(", cases") for name in figures if name.endswith(", cases")]
    width = max(map(len, compared), default=0)
    lines = (
        [f"{'':{width}s}   cases  parent  candidate  gain in points, 95%       at least  must be"] if compared else []
    )
    for name in compared:
        n, old, new, low, high, least, margin = (figures.pop(f"{name}, {part}") for part in _COLUMNS)
        gain = f"[{100 * low:+6.1f}, {100 * high:+6.1f}]"
        lines.append(
            f"{name:{width}s}  {n:6.0f}  {old:6.3f}  {new:9.3f}  {gain:25s} {100 * least:+8.1f}  {-100 * margin:+7.1f}"
        )
    alone = {name: figures.pop(name) for name in list(figures) if name.startswith("unguarded, ")}
    lines += [f"{name:{width}s}  {value:10.4f}" for name, value in figures.items()]
    if alone:
        few = ", ".join(f"{name.removeprefix('unguarded, ')} ({n:.0f})" for name, n in alone.items())
        lines.append(f"too few golden cases to be guarded one by one, only together: {few}")
    lines += [f"overturned: {case_id}" for case_id in result.overturned]
    lines += [f"refused: {reason}" for reason in result.refusals] or ["passed"]
    return "\n".join(lines)


_COLUMNS = ("cases", "parent", "candidate", "gain low", "gain high", "at least", "margin")
