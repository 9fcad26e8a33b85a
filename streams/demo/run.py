"""Simulate, train, promote, start every part, moderate, look features up, rank, run an experiment, report.

Everything is real: clips are H.264 files, the broker speaks Kafka, the models run in Triton, the features are
Feast's, the rows are ClickHouse's. The stack ends before the summary is printed, also on Ctrl-C.
"""

import asyncio
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from contracts.cases import DecidedCase
from contracts.verdicts import Verdict
from features.config import FeaturesConfig
from features.lookup import DECISIONS, Freshness, ViewerFeatures, lookup
from features.rank import Candidates, rank
from features.store import open_store
from policy.casebook import Evidence
from policy.evidence import gather, read_cases
from policy.lineage import Lineage, write_release
from policy.refresh.snapshots import reference_to, write_snapshot
from policy.releases import promote
from policy.train import TrainSettings, train
from serving.preprocess.media import DecodePool, PoolSettings
from serving.releases import ReleasesRoot
from simulation.uploads import Simulation, write_uploads
from streams.demo.adjudication import Adjudicated, rule_by_votes
from streams.demo.experiment import ExperimentPlan, Outcome, run_experiment
from streams.demo.moderate import moderate_all
from streams.demo.page import examples_of, render, words_of
from streams.demo.summary import DemoSummary, RankedVideo, agreement_by_group, latency_quantiles
from streams.demo.trend.chapter import TrendOutcome, TrendPlan, run_trend
from streams.painted import usual_videos
from streams.stack import Stack, embedded_stack
from warehouse.address import connect, parse_address
from warehouse.exposure import exposure, exposure_lines
from warehouse.queries import count_verdicts

N_CANDIDATES = 12
N_ADJUDICATED = 12
GOLDEN_SEED = 4_242


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """How large a demo: videos to train on, videos to moderate, how many a second, viewers and days of the experiment.

    trend: whether a trend comes up that the release was never taught. golden: painted videos that its gate compares
    releases on; of fewer the smaller categories tell noise, and it refuses by chance. vlm: a checkpoint that rules on
    some of the cases that wait in the end, None for none.
    """

    train: int = 700
    uploads: int = 300
    per_second: float = 40.0
    workers: int = 2
    viewers: int = 5_000
    days: int = 14
    golden: int = 6_000
    trend: bool = True
    vlm: Path | None = None
    seed: int = 7


@dataclass(slots=True)
class Steps:
    """Tells which step runs and how far it is, and keeps how long each took."""

    begin: Callable[[str, int | None], None]
    advance: Callable[[int], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str, total: int | None = None) -> Iterator[None]:
        self.begin(name, total)
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started


def run_demo(folder: Path, plan: DemoPlan, step: Steps) -> tuple[DemoSummary, Path]:
    """Run the whole loop in `folder`, which is made anew, and return the figures and the page's path."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with step("film clips to learn from, and others to moderate", plan.train + plan.uploads):
        _film(folder, plan, step)
    cases, live = (read_cases(folder / name / "cases.jsonl") for name in ("learn", "live"))
    settings = TrainSettings(fused=True)  # by pictures too, however few there are to learn from
    with step("decode what is learned from", len(cases)):
        evidence = asyncio.run(_decoded(cases, (folder / "learn").absolute(), settings, step.advance))
    with step("train a release and promote it", settings.fusion.epochs):
        _train(folder, evidence, settings, plan.seed, step)
    (folder / "trend").mkdir()
    with ExitStack() as running:
        with step("start broker, Triton, features, warehouse, sink, recorder, clerk, court and workers"):
            stack = running.enter_context(
                embedded_stack(
                    folder / "state",
                    folder / "releases",
                    workers=plan.workers,
                    media_roots=(folder / "live", folder / "trend"),
                    docket=folder / "docket",
                    clerk_options=("--pace", "0.4"),
                    court_options=(),
                )
            )
        with step("moderate", len(live)):
            judged = moderate_all(
                stack.kafka, [case.upload for case in live], per_second=plan.per_second, advance=step.advance
            )
        with step("look features up, rank, ask the warehouse"):
            fresh, ranking = _rank(stack, judged.verdicts, live)
            rows = _warehouse_rows(stack, len(judged.verdicts))
        trend = _trend(stack, folder, plan, step) if plan.trend else None
        adjudicated = _adjudicated(stack, plan.vlm, live, trend, step) if plan.vlm is not None else None
        exposed = _exposure(stack) if plan.trend else ()
        outcome = _experiment(stack, folder, plan, step) if plan.viewers else None
    summary = DemoSummary(
        sent=len(live),
        judged=len(judged.verdicts),
        dead=judged.dead,
        features_fresh=fresh,
        warehouse_rows=rows,
        decisions=Counter(verdict.decision for verdict in judged.verdicts),
        agreement=agreement_by_group(judged.verdicts, {case.upload.video_id: case.category for case in live}),
        latency_ms=latency_quantiles(judged.latency_ms),
        per_second=judged.per_second,
        workers=plan.workers,
        trained_on=len(cases),
        ranking=ranking,
        trend=trend,
        adjudicated=adjudicated,
        exposure=exposed,
        experiment=outcome,
        steps_s=step.seconds,
    )
    page = folder / "report.html"
    titles = {case.case_id: words_of(case.upload) for case in cases}
    page.write_text(render(summary, examples_of(judged.verdicts, live), titles), encoding="utf-8")
    return summary, page


def _film(folder: Path, plan: DemoPlan, step: Steps) -> None:
    workers = len(os.sched_getaffinity(0))
    for name, n, seed in (("learn", plan.train, plan.seed), ("live", plan.uploads, plan.seed + 1)):
        simulation = Simulation(n, seed, as_cases=True)
        write_uploads(folder / name, simulation, workers=workers, on_filmed=step.advance)


async def _decoded(
    cases: Sequence[DecidedCase], root: Path, settings: TrainSettings, advance: Callable[[int], None]
) -> list[Evidence]:
    n_workers = len(os.sched_getaffinity(0))
    pool = PoolSettings((root,), n_workers, settings.inputs.n_frames, settings.inputs.frame_px)
    async with DecodePool(pool) as decoder:
        return await gather(cases, decoder, advance=advance)


def _train(folder: Path, evidence: Sequence[Evidence], settings: TrainSettings, seed: int, step: Steps) -> None:
    policy = train(evidence, settings=settings, seed=seed, progress=lambda _: step.advance(1))
    now, lineage = datetime.now(UTC), Lineage.of([item.case for item in evidence])
    _, snapshot = write_snapshot(evidence, folder / "releases" / "datasets")
    beside = reference_to(snapshot)
    write_release(policy, folder / "release-1", lineage, settings=settings, now=now, beside=beside)
    promote(ReleasesRoot(folder / "releases"), folder / "release-1", now=now)


def _rank(stack: Stack, verdicts: Sequence[Verdict], live: Sequence[DecidedCase]) -> tuple[int, list[RankedVideo]]:
    """How many videos have fresh features, and some candidates ranked by relevance alone and with toxicity.

    The viewer is one who minds toxicity; relevance is made up so that the toxic videos tempt most.
    """
    store = open_store(FeaturesConfig.from_environment(stack.environment))
    now = datetime.now(UTC)
    fresh = int((lookup(store, [case.upload.video_id for case in live], now).state_N == Freshness.FRESH).sum())
    by_toxicity = sorted(verdicts, key=lambda verdict: -verdict.toxicity)
    some = by_toxicity[:: max(1, len(by_toxicity) // N_CANDIDATES)][:N_CANDIDATES]
    relevance = np.round(np.linspace(0.95, 0.4, len(some)), 2)
    ids = tuple(verdict.video_id for verdict in some)
    seen = lookup(store, ids, now)
    viewer = ViewerFeatures("viewer-1", Freshness.FRESH, tolerance=0.2, report_rate=0.01, toxic_skip_rate=0.8)
    ranked = rank(Candidates(ids, relevance), seen, viewer)
    after = {video_id: place for place, video_id in enumerate(ranked.video_ids, start=1)}
    case_of: Mapping[str, DecidedCase] = {case.upload.video_id: case for case in live}
    return fresh, [
        RankedVideo(
            video_id=video_id,
            title=words_of(case_of[video_id].upload),
            truth=case_of[video_id].category,
            relevance=float(relevance[place]),
            toxicity=float(seen.toxicity_N[place]),
            decision=DECISIONS[seen.decision_N[place]] if seen.decision_N[place] >= 0 else None,
            before=place + 1,
            after=after.get(video_id),
        )
        for place, video_id in enumerate(ids)
    ]


def _experiment(stack: Stack, folder: Path, plan: DemoPlan, step: Steps) -> Outcome:
    assert stack.warehouse is not None
    experiment = ExperimentPlan(plan.viewers, days=plan.days, seed=plan.seed)
    return run_experiment(stack.kafka, stack.warehouse, folder, experiment, step, today=datetime.now(UTC).date())


def _trend(stack: Stack, folder: Path, plan: DemoPlan, step: Steps) -> TrendOutcome:
    with step("paint the golden set of the gate"):
        painted = usual_videos(plan.golden, GOLDEN_SEED, TrainSettings().inputs)
        golden, _ = write_snapshot([one.evidence for one in painted], folder / "golden")
    return run_trend(stack, folder, TrendPlan(seed=plan.seed), golden, step)


def _adjudicated(
    stack: Stack, vlm: Path, live: Sequence[DecidedCase], trend: TrendOutcome | None, step: Steps
) -> Adjudicated:
    with step("a VLM rules by votes on cases that wait"):
        truth = {case.upload.video_id: case.category for case in live} | dict(trend.truth if trend else {})
        return rule_by_votes(stack, vlm, truth, at_most=N_ADJUDICATED)


def _exposure(stack: Stack) -> tuple[str, ...]:
    """What was served of videos that were ruled violative before they were demoted, today."""
    assert stack.warehouse is not None
    client, today = connect(parse_address(stack.warehouse)), datetime.now(UTC).date()
    try:
        return tuple(exposure_lines(exposure(client, since=today - timedelta(days=1), through=today)))
    finally:
        client.close()


def _warehouse_rows(stack: Stack, expected: int, *, within_s: float = 15.0) -> int:
    """Events with a verdict in the warehouse, once the sink has caught up or the time is over."""
    assert stack.warehouse is not None
    client = connect(parse_address(stack.warehouse))
    until = time.monotonic() + within_s
    while (rows := count_verdicts(client)) < expected and time.monotonic() < until:
        time.sleep(0.2)
    client.close()
    return rows
