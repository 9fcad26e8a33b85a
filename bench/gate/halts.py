"""Simulated rollouts looked at again and again in; how often a harmless canary is halted, and a harmful one, out.

Views are heavy-tailed over videos, and a few videos earn most reports, so that reports come in clusters.
"""

from datetime import timedelta
from typing import NamedTuple

import click
import numpy as np
import numpy.typing as npt

from policy.rollout.assess import RolloutSettings, assess
from policy.rollout.figures import Reported, RolloutFigures


class World(NamedTuple):
    """Uploads of a day, each viewed with a rate of its own; `harmful` of them are reported 20 times as often."""

    uploads: int = 12_000
    hours: int = 24
    views_an_hour: float = 20.0
    spread: float = 1.5
    harmful: float = 0.03
    clean_rate: float = 0.001
    looks_an_hour: int = 4


WORLD = World()


def sums_by_look(
    world: World, chosen_N: npt.NDArray[np.bool_], times: float, rng: np.random.Generator
) -> list[tuple[Reported, Reported]]:
    """Sums over the live release's videos and over the canary's at each look; the canary's earn `times` the reports."""
    n = world.uploads
    uploaded = rng.uniform(0.0, world.hours, n)
    views = world.views_an_hour * np.exp(rng.normal(-(world.spread**2) / 2.0, world.spread, n))
    rate = np.where(rng.random(n) < world.harmful, 20.0, 1.0) * world.clean_rate * rng.gamma(2.0, 0.5, n)
    rate = np.minimum(rate * np.where(chosen_N, times, 1.0), 0.5)
    impressions, reports = np.zeros(n, np.int64), np.zeros(n, np.int64)
    step, looks = 1.0 / world.looks_an_hour, []
    for look in range(world.hours * world.looks_an_hour):
        there = np.clip((look + 1) * step - uploaded, 0.0, step)
        shown = rng.poisson(views * there)
        impressions += shown
        reports += rng.binomial(shown, rate)
        looks.append(
            (_sums(impressions[~chosen_N], reports[~chosen_N]), _sums(impressions[chosen_N], reports[chosen_N]))
        )
    return looks


def _sums(impressions: npt.NDArray[np.int64], reports: npt.NDArray[np.int64]) -> Reported:
    i, r = impressions.astype(np.float64), reports.astype(np.float64)
    return Reported(int((i > 0).sum()), int(i.sum()), int(r.sum()), float(i @ i), float(r @ r), float(i @ r))


def halted_at(world: World, times: float, settings: RolloutSettings, seed: int) -> tuple[float | None, float | None]:
    """Hours after which a rollout is halted, and after which it may first go on; None where it is not."""
    rng = np.random.default_rng(seed)
    chosen = rng.random(world.uploads) < settings.canary_share
    may_go_on = None
    for look, (live, canary) in enumerate(sums_by_look(world, chosen, times, rng), start=1):
        hours = look / world.looks_an_hour
        asked = round(world.uploads * hours / world.hours)
        figures = RolloutFigures(live, canary, asked, asked // 50, asked // 100, 0)
        found = assess(figures, "canary", timedelta(hours=hours), settings)
        if found.outcome == "halt":
            return hours, may_go_on
        if found.outcome == "advance" and may_go_on is None:
            may_go_on = hours
    return None, may_go_on


def measure_halts(*, rollouts: int = 200, world: World = WORLD) -> dict[str, float]:
    """Share of rollouts of a day that are halted, by how many times as many reports the canary's videos earn."""
    settings = RolloutSettings()
    figures: dict[str, float] = {}
    for times in (1.0, 1.1, 1.5, 2.0, 3.0):
        n = rollouts if times <= 1.1 else max(1, rollouts // 2)
        ends = [halted_at(world, times, settings, 1_000 * seed + round(100 * times)) for seed in range(n)]
        halted = [at for at, _ in ends if at is not None]
        first = [went for at, went in ends if went is not None]
        before = [went for at, went in ends if went is not None and (at is None or went < at)]
        share = len(halted) / n
        click.echo(
            f"reported {times:3.1f} times as often: {len(halted):4d} of {n} halted within {world.hours} h"
            + (f", after {np.median(halted):.1f} h (median)" if halted else "")
            + f"; {len(before)} could have gone on before"
            + (f", after {np.median(first):.1f} h (median)" if first else "")
        )
        figures |= {f"halted at {times}": share, f"went on at {times}": len(before) / n}
    return figures
