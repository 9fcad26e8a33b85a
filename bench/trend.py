"""How many videos of a trend that nobody was taught are found: before, by few precedents alone, after a refresh.

The release in force was trained on usual videos. Of two new trends' videos some are ruled on, some rulings are wrong,
and some are on good videos that only speak of the trend. These rulings speak first as precedents, published beside the
untouched student, then as cases of the nightly refresh. What is found is compared at one false positive rate: the
line is moved until as few harmless videos are over it as before. Good videos that speak of a trend are counted apart.

Seeds 601 and 602 were for choosing, 701 to 703 only report. Predicted by seed 601: 0.4 before, 0.7 by 20 precedents.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from bench.trend_figures import Bools, Floats, Stage, figures_of, line_for, report
from contracts.releases import InputShape
from contracts.taxonomy import Category
from policy.casebook import Evidence
from policy.decide import toxicity_of
from policy.refresh import RefreshSettings, refresh_policy
from policy.train import Policy, TrainSettings, casebook_of, run_student, train
from serving.casebook import Casebook, search
from serving.preprocess.batch import preprocess
from simulation.reviewers import Reviewers
from simulation.trends.settings import SCENARIO, TRENDS, TrendScenario
from simulation.trends.uploads import draw_look_alikes, draw_trend
from streams.painted import Shown, trend_videos, usual_videos

DRAWS = 5
"""Which rulings become the first 1, 5 or 20 precedents is drawn so many times."""


class Seen(NamedTuple):
    """What a student makes of N videos: probabilities [N, 16], embeddings [N, D]."""

    classifier: Floats
    embedding: Floats


@dataclass(frozen=True, slots=True)
class World:
    """Unseen videos of one seed, and those that are ruled on: of each trend, on its look-alikes, of all others."""

    usual: list[Shown]
    of_trend: Mapping[str, list[Shown]]
    look_alikes: Mapping[str, list[Shown]]
    ruled_of_trend: Mapping[str, list[Shown]]
    ruled_look_alikes: Mapping[str, list[Shown]]
    others: list[Shown]


class Found(NamedTuple):
    """Toxicity of the usual videos, of each trend's and of its look-alikes."""

    usual: Floats
    of_trend: Mapping[str, Floats]
    look_alikes: Mapping[str, Floats]


def measure(
    *,
    scenario: TrendScenario = SCENARIO,
    seeds: Sequence[int] | None = None,
    settings: TrainSettings | None = None,
    nightly: RefreshSettings | None = None,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """Every stage of every seed; about six minutes at the defaults."""
    settings, seeds = settings or TrainSettings(), seeds or scenario.seeds_to_report
    taught = [video.evidence for video in usual_videos(scenario.taught, scenario.seed_taught, settings.inputs)]
    started = time.perf_counter()
    parent = train(taught, settings=settings, seed=0)
    say = Console(width=140).print
    say(f"trained on {len(taught):,} usual videos in {time.perf_counter() - started:.0f} s", highlight=False)
    stages: dict[str, Stage] = {}
    for seed in seeds:
        started = time.perf_counter()
        one_seed(parent, taught, scenario, seed, settings.inputs, nightly=nightly, draws=draws, stages=stages)
        say(f"seed {seed}: {time.perf_counter() - started:.0f} s", highlight=False)
    figures = {name: figures_of(stage, stages["before"]) for name, stage in stages.items()}
    for line in report(figures, scenario, seeds, draws):
        say(line, highlight=False)
    return {"seeds": list(seeds), "draws": draws, "stages": figures}


def one_seed(
    parent: Policy,
    taught: Sequence[Evidence],
    scenario: TrendScenario,
    seed: int,
    inputs: InputShape,
    *,
    nightly: RefreshSettings | None,
    draws: int,
    stages: dict[str, Stage],
) -> None:
    """Add to the stages what is found of the videos of one seed."""
    world = draw_world(scenario, seed, inputs)
    reviewers = Reviewers(seed=seed, wrong=scenario.wrong, rulings_a_day=scenario.rulings_a_day)
    see: Callable[[list[Shown]], Seen] = lambda shown: look(parent, shown, inputs)  # noqa: E731
    seen = {"usual": see(world.usual), **{name: see(world.of_trend[name]) for name in TRENDS}}
    alike = {name: see(world.look_alikes[name]) for name in TRENDS}
    ruled = {name: _ruled(world, name, reviewers) for name in TRENDS}
    ruled_seen = {
        name: tuple(see(side[name]) for side in (world.ruled_of_trend, world.ruled_look_alikes)) for name in TRENDS
    }
    line = parent.thresholds.toxicity
    violative = np.array([video.truth is not Category.POSITIVE for video in world.usual])

    def judge(casebook: Casebook) -> Found:
        return Found(
            judged(casebook, seen["usual"]),
            {name: judged(casebook, seen[name]) for name in TRENDS},
            {name: judged(casebook, alike[name]) for name in TRENDS},
        )

    before = judge(parent.casebook)
    most = int((before.usual[~violative] >= line).sum())

    def add(name: str, drawn: Sequence[Found], served: float) -> None:
        _add(stages.setdefault(name, Stage.empty()), drawn, violative, most=most, served=served)

    add("before", [before], line)
    for count in scenario.precedents:
        drawn = []
        for draw in range(draws):
            rng = np.random.default_rng([seed, count, draw])
            news = _precedents(ruled, ruled_seen, count, round(scenario.on_look_alikes * count), rng)
            drawn.append(judge(parent.casebook.with_news(news)))
        add(f"{count} precedents" if count > 1 else "1 precedent", drawn, line)
    rulings = _rulings(world, ruled, parent, scenario, reviewers, inputs)
    refreshed = refresh_policy(parent, taught, rulings, settings=nightly, seed=seed)
    see_anew: Callable[[list[Shown]], Floats] = lambda shown: judged(  # noqa: E731
        refreshed.casebook, look(refreshed, shown, inputs)
    )
    anew = Found(
        see_anew(world.usual),
        {name: see_anew(world.of_trend[name]) for name in TRENDS},
        {name: see_anew(world.look_alikes[name]) for name in TRENDS},
    )
    add("after the refresh", [anew], refreshed.thresholds.toxicity)


def draw_world(scenario: TrendScenario, seed: int, inputs: InputShape) -> World:
    """Draw and paint: those that are ruled on are never judged."""
    of_trend, look_alikes = {}, {}
    on_look_alikes = round(scenario.on_trend * scenario.on_look_alikes)
    for name, trend in TRENDS.items():
        many = draw_trend(trend, scenario.on_trend + scenario.judged_of_trend, seed)
        of_trend[name] = trend_videos(many, inputs)
        look_alikes[name] = trend_videos(
            draw_look_alikes(trend, on_look_alikes + scenario.judged_look_alikes, seed), inputs
        )
    usual = usual_videos(scenario.others + scenario.judged_old, seed, inputs)
    return World(
        usual=usual[scenario.others :],
        of_trend={name: shown[scenario.on_trend :] for name, shown in of_trend.items()},
        look_alikes={name: shown[on_look_alikes:] for name, shown in look_alikes.items()},
        ruled_of_trend={name: shown[: scenario.on_trend] for name, shown in of_trend.items()},
        ruled_look_alikes={name: shown[:on_look_alikes] for name, shown in look_alikes.items()},
        others=usual[: scenario.others],
    )


def look(policy: Policy, shown: Sequence[Shown], inputs: InputShape, *, batch: int = 512) -> Seen:
    """What the policy's student makes of videos."""
    parts = []
    for start in range(0, len(shown), batch):
        some = [video.evidence for video in shown[start : start + batch]]
        parts.append(
            run_student(policy.student, preprocess([i.case.upload for i in some], [i.frames for i in some], inputs))
        )
    classifier, embedding = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Seen(classifier, embedding)


def judged(casebook: Casebook, seen: Seen) -> Floats:
    """Toxicity [N], classifier and precedents blended as served."""
    return np.asarray(toxicity_of(search(casebook, seen.embedding, seen.classifier).probabilities), np.float32)


def _add(stage: Stage, drawn: Sequence[Found], violative: Bools, *, most: int, served: float) -> None:
    """One seed's draws, each at its own line of equal false positives, and as served."""
    lines = [line_for(found.usual[~violative], served, most=most) for found in drawn]
    both = list(zip(drawn, lines, strict=True))
    for name in TRENDS:
        stage.of_trend[name].append(np.stack([found.of_trend[name] >= line for found, line in both]))
        stage.as_served[name].append(np.stack([found.of_trend[name] >= served for found, _ in both]))
        stage.look_alikes.append(np.stack([found.look_alikes[name] >= line for found, line in both]))
    usual = np.stack([found.usual >= line for found, line in both])
    stage.harmless.append(usual[:, ~violative])
    stage.harmless_as_served.append(np.stack([found.usual[~violative] >= served for found, _ in both]))
    stage.old.append(usual[:, violative])


def _ruled(world: World, name: str, reviewers: Reviewers) -> tuple[list[Evidence], list[Evidence]]:
    """Rulings on a trend's videos, and on its look-alikes."""

    def rule(shown: Sequence[Shown]) -> list[Evidence]:
        return [video.ruled(reviewers(video.evidence.case.case_id, video.truth, video.about)) for video in shown]

    return rule(world.ruled_of_trend[name]), rule(world.ruled_look_alikes[name])


def _precedents(
    ruled: Mapping[str, tuple[list[Evidence], list[Evidence]]],
    seen: Mapping[str, tuple[Seen, ...]],
    count: int,
    on_look_alikes: int,
    rng: np.random.Generator,
) -> Casebook:
    """So many rulings on each trend's videos, and on its look-alikes, as precedents."""
    cases, embeddings = [], []
    for name in ruled:
        for rulings, (_, embedding), n in zip(ruled[name], seen[name], (count, on_look_alikes), strict=True):
            rows = rng.permutation(len(rulings))[:n]
            cases += [rulings[row].case for row in rows]
            embeddings.append(embedding[rows])
    return casebook_of(cases, np.concatenate(embeddings), np.arange(len(cases)))


def _rulings(
    world: World,
    ruled: Mapping[str, tuple[list[Evidence], list[Evidence]]],
    parent: Policy,
    scenario: TrendScenario,
    reviewers: Reviewers,
    inputs: InputShape,
) -> list[Evidence]:
    """All of a day's rulings: on the trends, and on what the release doubts most of the others."""
    about_trends = [one for sides in ruled.values() for side in sides for one in side]
    doubt = np.abs(judged(parent.casebook, look(parent, world.others, inputs)) - parent.thresholds.toxicity)
    left = max(0, scenario.rulings_a_day - len(about_trends))
    doubted = [world.others[row] for row in np.argsort(doubt, kind="stable")[:left]]
    return about_trends + [
        video.ruled(reviewers(video.evidence.case.case_id, video.truth, video.about)) for video in doubted
    ]
