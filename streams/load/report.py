"""A ledger and its findings in, figures and the limits that they cross out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.load.check import Findings
from streams.load.ledger import Ledger
from streams.load.plan import Kind

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999, "max": 1.0}
NOTHING = (
    "lost",
    "unconfirmed",
    "reordered",
    "wrong_letters",
    "missing_features",
    "stale_features",
    "missing_rows",
    "repeated_rows",
    "wrong_sums",
)
"""Findings of which there must be none."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run must keep to: repeats on the raw topic, and milliseconds from intended send to readable feature.

    These hold for what a worker says of every event, and for what a probe read of some.
    """

    p95_ms: float | None = None
    p99_ms: float | None = None
    repeated_verdicts: int | None = None

    def crossed(self, report: Mapping[str, Any]) -> list[str]:
        """Each limit that a report crosses, in words."""
        found = [f"{name} == {report[name]}, must be 0" for name in NOTHING if report[name]]
        for name, limit in (("p95", self.p95_ms), ("p99", self.p99_ms)):
            for words, latency in (("feature latency", report["feature_latency_ms"]), ("read", report["readable_ms"])):
                if limit is not None and (latency or words != "read") and not latency.get(name, np.inf) <= limit:
                    found.append(f"{words} {name} == {latency.get(name)} ms, must be at most {limit:g} ms")
        if self.repeated_verdicts is not None and report["repeated_verdicts"] > self.repeated_verdicts:
            found.append(
                f"repeated_verdicts == {report['repeated_verdicts']}, must be at most {self.repeated_verdicts}"
            )
        return found


def report(ledger: Ledger, findings: Findings) -> dict[str, Any]:
    """Counts, rate and latencies in milliseconds; rate and latencies are of the events after the warm-up.

    `feature_latency_ms`: to the moment at which a worker produced the verdict, which bounds from above when the
    features could be read, of every new video and version. `readable_ms`: to the moment at which the probe read them.
    The rate is of verdicts, from the one that ends the warm-up to the last: many events are under way when the
    warm-up ends, and from the first of these sent it would count work that is not in the figure.
    """
    plan, rows, kind = ledger.plan, ledger.rows, ledger.drawn.kind_N
    measured = np.arange(plan.count) >= plan.warm_up
    produced = np.sort(rows["produced_s"][~np.isnan(rows["produced_s"])])
    counted = len(produced) - plan.warm_up
    seconds = float("nan")
    if counted > 0:
        began = produced[plan.warm_up - 1] if plan.warm_up else np.nanmin(rows["sent_s"])
        seconds = float(produced[-1] - began)

    def since_intended(column: str) -> dict[str, float]:
        return quantiles((rows[column] - rows["intended_s"])[measured])

    return {
        "run": plan.run,
        "mix": str(plan.mix),
        "asked_per_s": plan.rate,
        "sent": int((~np.isnan(rows["sent_s"])).sum()),
        "warm_up": plan.warm_up,
        "by_kind": {k.name.lower(): n for k in Kind if (n := int((kind == k).sum()))},
        "verdicts": int((rows["verdicts"] > 0).sum()),
        "letters": int((rows["letters"] > 0).sum()),
        "seconds": round(seconds, 3),
        "per_s": round(counted / seconds, 1) if seconds > 0 else None,
        "feature_latency_ms": since_intended("produced_s"),
        "readable_ms": since_intended("readable_s"),
        "verdict_latency_ms": since_intended("seen_s"),
        "sender_late_ms": since_intended("sent_s"),
        **asdict(findings),
    }


def quantiles(seconds_N: npt.NDArray[np.float64]) -> dict[str, float]:
    """Quantiles in milliseconds of what is known, and of how many; empty when nothing is."""
    known = seconds_N[~np.isnan(seconds_N)] * 1_000.0
    if not known.size:
        return {}
    values = np.quantile(known, list(QUANTILES.values()))
    return {name: round(float(v), 2) for name, v in zip(QUANTILES, values, strict=True)} | {"n": int(known.size)}


def in_words(figures: Mapping[str, Any]) -> str:
    """A report for a person: what was sent, how long it took, what the checker found."""
    lines = [
        f"sent          {figures['sent']:,} ({figures['mix']}), {figures['verdicts']:,} verdicts,"
        f" {figures['letters']:,} dead letters, {figures['per_s'] or 0:,.0f}/s for {figures['seconds']:g} s"
    ]
    for name, words in (
        ("feature_latency_ms", "to features"),
        ("readable_ms", "read by probe"),
        ("sender_late_ms", "sent late by"),
    ):
        if figures[name]:
            of = figures[name]
            shown = "   ".join(f"{q} {of[q]:,.0f}" for q in ("p50", "p95", "p99", "max"))
            lines.append(f"{words:<14}{shown}   ms, of {of['n']:,}")
    lines.append(f"repeated      {figures['repeated_verdicts']} verdicts on the raw topic")
    lines.append("found         " + ", ".join(f"{figures[name]} {name.replace('_', ' ')}" for name in NOTHING))
    lines += [f"              {name}: {', '.join(ids)}" for name, ids in figures["examples"].items()]
    return "\n".join(lines)
