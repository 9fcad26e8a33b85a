"""Mutated events and media files in; how many are accepted, how many refused and for what, and what they cost, out.

Events go through the real edge and the real moderation (preprocessing, ONNX models, judging, decode processes), some
thousands of them through a real worker on the embedded broker; media files go through the real decode pool. What goes
in must come out: as a verdict, as a repetition of one in the same batch, or as a dead letter with a reason. Nothing may
end a process, and neither memory nor open files may grow with what was refused.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.fuzz.events import fuzz_events
from bench.fuzz.films import fuzz_films
from bench.fuzz.running import fuzz_worker
from bench.fuzz.watching import Growth


def measure(*, events: int = 100_000, files: int = 2_000, through_worker: int = 5_000, seed: int = 1) -> dict[str, Any]:
    """Fuzz events, a worker and media files; about five minutes of one core at the defaults."""
    with tempfile.TemporaryDirectory(prefix="precedent-fuzz-") as folder:
        moderated = asyncio.run(fuzz_events(Path(folder) / "events", events, seed))
        worked = fuzz_worker(Path(folder) / "worker", through_worker, seed + 1)
        decoded = asyncio.run(fuzz_films(Path(folder) / "films", files, seed + 2))
    figures = {"events": moderated, "worker": worked, "films": decoded}
    for name, found in figures.items():
        _print(name, found)
    return figures


def failures(figures: dict[str, Any]) -> list[str]:
    """What was found that must not be, in words; none where all is well."""
    wrong = []
    for name, found in figures.items():
        if found["sent"] != found["accepted"] + found["repeated"] + sum(found["refused"].values()):
            wrong.append(f"{name}: {found['sent']} sent are not accepted + repeated + refused")
        if found["crashes"]:
            wrong.append(f"{name}: {found['crashes']} crashes, the first over {found['first_crash']}")
        growth = [Growth(**one) for one in found["growth"]]
        wrong += [f"{name}: {one}" for one in growth if one.leaks]
    return wrong


def _print(name: str, found: dict[str, Any]) -> None:
    table = Table(
        title=f"{name}: {found['sent']:,} sent in {found['took_s']:.0f} s", title_justify="left", min_width=80
    )
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("accepted", f"{found['accepted']:,}")
    table.add_row("repeated within a batch", f"{found['repeated']:,}")
    for reason, many in sorted(found["refused"].items(), key=lambda item: -item[1]):
        table.add_row(f"refused: {reason}", f"{many:,}")
    whole = found["accepted"] + found["repeated"] + sum(found["refused"].values())
    table.add_row("sum", f"{whole:,}{'' if whole == found['sent'] else '  NOT EQUAL'}")
    table.add_row("crashes", str(found["crashes"]))
    for one in found["growth"]:
        table.add_row(one["what"], str(Growth(**one)).partition(": ")[2])
    console = Console(width=120)
    console.print(table, highlight=False)
    for line in failures({name: found}):
        console.print(f"FAILED {line}", highlight=False)
