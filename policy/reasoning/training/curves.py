"""What trainers log in, a curve's file and one self-contained page out, for a person to look at: an SVG a figure."""

import html
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contracts.errors import BadInputError
from policy.reasoning.training.folder import CURVE

Points = list[tuple[float, float]]
WIDE, HIGH, EDGE = 420, 190, 56
SHOWN = (
    "loss",
    "mean_token_accuracy",
    "rewards/accuracies",
    "reward",
    "entropy",
    "grad_norm",
    "kl",
    "clipped",
    "filtered",
)
"""Figures that are drawn first, where a run has them; the others follow by name."""
_LEFT_OUT = ("step", "epoch", "runtime", "samples_per_second", "steps_per_second", "total_flos", "num_tokens")
_POLICY = (
    "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'\">"
)
_STYLE = """
:root { color-scheme: light dark; --line: #2f6fbd; --faint: #8888; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 900px; margin: 2rem auto; padding: 0 1rem; }
section { margin-bottom: 2rem; } .curves { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; } figcaption { font-weight: 600; } svg { max-width: 100%; height: auto; }
polyline { fill: none; stroke: var(--line); stroke-width: 1.6; } line { stroke: var(--faint); }
text { fill: currentColor; font-size: 11px; } table { border-collapse: collapse; }
td, th { padding: .2rem .8rem .2rem 0; }
td { font-variant-numeric: tabular-nums; text-align: right; } th, td:first-child { text-align: left; }
"""


def kept_in(run: Path) -> Any:
    """A callback that appends every figure that a trainer logs to the run's curve, a line a step."""
    from transformers import TrainerCallback

    class Curve(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            if not state.is_world_process_zero or not logs:
                return
            figures = {name: value for name, value in logs.items() if isinstance(value, int | float)}
            with (run / CURVE).open("a", encoding="utf-8") as curve:
                curve.write(json.dumps({"step": state.global_step, **figures}) + "\n")

    return Curve()


def only_kept(trainer: Any) -> Any:
    """The same trainer, which prints nothing of what it logs."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


def read_curve(run: Path) -> dict[str, Points]:
    """Each figure of a run as (step, value), in the order of steps; a figure that is not finite is left out."""
    path = run / CURVE
    if not path.is_file():
        raise BadInputError(f"{path}: is not there, a run that has logged a step has one")
    found = dict[str, dict[float, float]]()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            figures = json.loads(line)
            step = float(figures["step"])
        except (ValueError, TypeError, KeyError) as error:
            raise BadInputError(f"{path}, line {number}: is not a step of a curve: {error}") from error
        for name, value in figures.items():
            if not any(name.endswith(one) for one in _LEFT_OUT) and math.isfinite(float(value)):
                found.setdefault(name, {})[step] = float(value)  # a step that was repeated counts as it went last
    return {name: sorted(values.items()) for name, values in found.items() if len(values) > 1}


def write_page(path: Path, runs: Mapping[str, Path], table: Sequence[tuple[str, ...]], *, title: str) -> None:
    """Write the page: `table` first (its first row is the heading), then the curves of each run by its name."""
    parts = [_table(table)]
    for name, run in runs.items():
        curves = read_curve(run)
        ordered = [one for one in SHOWN if one in curves] + sorted(curves.keys() - set(SHOWN))
        figures = "".join(_figure(one, curves[one]) for one in ordered)
        parts.append(f"<section><h2>{html.escape(name)}</h2><div class=curves>{figures}</div></section>")
    page = (
        f'<!doctype html><html lang=en><meta charset=utf-8>{_POLICY}<meta name=viewport content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style><h1>{html.escape(title)}</h1>{''.join(parts)}</html>"
    )
    path.write_text(page + "\n", encoding="utf-8")


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows[1:])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _figure(name: str, points: Points) -> str:
    (first, last), values = (points[0][0], points[-1][0]), [value for _, value in points]
    low, high = min(values), max(values)
    across, up = (WIDE - EDGE - 8) / ((last - first) or 1.0), (HIGH - 36) / ((high - low) or 1.0)
    drawn = " ".join(f"{EDGE + (x - first) * across:.1f},{HIGH - 20 - (y - low) * up:.1f}" for x, y in points)
    return (
        f"<figure><figcaption>{html.escape(name)}</figcaption>"
        f'<svg viewBox="0 0 {WIDE} {HIGH}" width={WIDE} height={HIGH} role=img aria-label="{html.escape(name)}">'
        f"<line x1={EDGE} y1={HIGH - 20} x2={WIDE - 8} y2={HIGH - 20} />"
        f"<line x1={EDGE} y1=16 x2={EDGE} y2={HIGH - 20} />"
        f"<text x={EDGE - 4} y=20 text-anchor=end>{high:.3g}</text>"
        f"<text x={EDGE - 4} y={HIGH - 20} text-anchor=end>{low:.3g}</text>"
        f"<text x={EDGE} y={HIGH - 5}>{first:g}</text>"
        f"<text x={WIDE - 8} y={HIGH - 5} text-anchor=end>step {last:g}</text>"
        f'<polyline points="{drawn}" /></svg></figure>'
    )
