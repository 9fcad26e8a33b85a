"""Does a brigade open cases against harmless videos or demote them, and do honest reports still open theirs?

A made-up platform lives two weeks. In the first, honest reports open cases, which are ruled on, so that reporters have
a record; in the second, 5% of all users report 1,000 harmless videos, in one of several manners. Opened are counted
with and without the brigade, by the same `open_cases` that the platform uses, and with reports merely counted; demoted
by a release that learned to believe reports, fed as the clerk feeds it. Conservative: the brigade's reports come
without impressions, and its members also report honestly, as all users do.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.brigade.attack import Attack, Outcome, attack, outcome_of
from bench.brigade.demotions import Demotions, clean_videos, demotions_of, taught_release
from bench.brigade.world import HELD, MANNERS, BrigadeSettings
from policy.costs import Costs
from policy.fusion import FusionSettings
from policy.train import TrainSettings

LEAST_KEPT = 0.8
CASES = 2_000
TRAINING = TrainSettings(fusion=FusionSettings(epochs=6), fused=True, costs=Costs())
CENTRAL = BrigadeSettings()
CONSOLE = Console(width=130)


def measure(
    *, settings: BrigadeSettings = CENTRAL, seeds: Sequence[int] = (1, 2, 3), cases: int = CASES
) -> dict[str, Any]:
    """Each manner: what it opens, summed over seeds, and what it demotes with the first; minutes at the defaults."""
    figures: dict[str, Any] = {"seeds": list(seeds), "users": settings.users, "targets": settings.targets * len(seeds)}
    first: dict[str, Attack] = {}
    outcomes: dict[str, list[Outcome]] = {name: [] for name in MANNERS}
    for name, manner in MANNERS.items():
        for seed in seeds:
            attacked = attack(settings, manner, seed=seed)
            outcomes[name].append(outcome_of(attacked))
            first.setdefault(name, attacked)
    opened = {
        name: {field: sum(getattr(run, field) for run in runs) for field in Outcome._fields}
        for name, runs in outcomes.items()
    }
    _print_opened(opened, settings, len(seeds))
    with tempfile.TemporaryDirectory() as folder:
        release = taught_release(Path(folder) / "release", settings, TRAINING, cases=cases, seed=901)
        clean = clean_videos(settings.targets, release, seed=902)
        demoted = {name: demotions_of(attacked, clean) for name, attacked in first.items()}
        accuracy = release.release.metrics["binary_accuracy"]
    _print_demoted(demoted, cases, accuracy)
    for name in MANNERS:
        figures[name] = opened[name] | {"demotions": demoted[name]._asdict()}
    return figures | {"cases": cases, "binary_accuracy": accuracy}


def _print_opened(opened: dict[str, dict[str, Any]], settings: BrigadeSettings, seeds: int) -> None:
    targets = settings.targets * seeds
    n = f"{settings.brigade_share:.0%} of {settings.users:,} users, {settings.targets:,} targets, {seeds} seeds"
    table = _table(
        f"A brigade of {n}: cases", "targets opened", "by counted reports", "honest cases kept", "n", "named"
    )
    for name, total in opened.items():
        table.add_row(
            name, f"{total['opened_targets']:,} of {targets:,}", f"{total['counted_targets']:,}", f"{_kept(total):.1%}",
            f"{total['kept']:,} of {total['honest_cases']:,}", f"{total['named']:,} of {total['members']:,}",
        )  # fmt: skip
    CONSOLE.print(table)
    against = sum(opened[name]["opened_targets"] for name in HELD)
    kept = min(_kept(opened[name]) for name in HELD)
    reached = "reached" if against == 0 and kept >= LEAST_KEPT else "MISSED"
    CONSOLE.print(
        f"mass reporting opened {against} targets, asked for 0; kept {kept:.1%} of honest cases at least, "
        f"asked for {LEAST_KEPT:.0%}: {reached}"
    )


def _print_demoted(demoted: dict[str, Demotions], cases: int, accuracy: float) -> None:
    table = _table(
        f"The same, scored by a release of {cases:,} cases with feedback, right on {accuracy:.1%}: targets judged more "
        "strictly, and the most that toxicity rose",
        "demoted or more", "reviewed, removed", "toxicity", "were it one voice", "were reports counted", "toxicity",
    )  # fmt: skip
    for name, of in demoted.items():
        table.add_row(
            name, f"{of.weighed.stricter:,} of {of.n:,}", f"{of.weighed.reviewed:,}", f"{of.weighed.most:+.3f}",
            f"{of.one_voice.stricter:,}", f"{of.counted.stricter:,}", f"{of.counted.most:+.3f}",
        )  # fmt: skip
    CONSOLE.print(table)
    held = [demoted[name] for name in HELD]
    against, most = sum(of.weighed.stricter for of in held), max(of.weighed.most for of in held)
    CONSOLE.print(
        f"mass reporting demoted {against} of {held[0].n:,} targets in each of {len(held)} manners, asked for 0, and "
        f"raised toxicity by {most:.3f} at most; counted, it would have demoted "
        f"{min(of.counted.stricter for of in held):,} at least: {'reached' if against == 0 else 'MISSED'}. "
        f"With honest feedback {min(of.allowed for of in held):,} are allowed"
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", min_width=110)
    table.add_column("each member reports")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _kept(total: dict[str, Any]) -> float:
    return float(total["kept"] / max(1, total["honest_cases"]))
