"""A refresh from its first step to its last: what one call does, and what each step says of itself."""

from collections.abc import Callable
from datetime import datetime

from contracts.releases import GateResult
from policy.publication.precedents import Rulings
from policy.refresh import steps
from policy.refresh.run import STEPS, Built, Collected, Mined, Outcome, Promoted, RefreshRun, Step, Trained
from policy.train import Tick


def run_step(
    run: RefreshRun,
    step: Step,
    open_docket: Callable[[], Rulings],
    *,
    now: datetime,
    tick: Tick = lambda _: None,
) -> Outcome:
    """Do one step; one that is done is told again. The docket is opened where it is read, by `collect` alone."""
    match step:
        case "collect":
            return steps.collect(run, open_docket())
        case "mine":
            return steps.mine(run)
        case "build":
            return steps.build(run)
        case "train":
            return steps.train(run, now=now, tick=tick)
        case "gate":
            return steps.gate(run, now=now)
        case "promote":
            return steps.promote(run, now=now)


def run_all(
    run: RefreshRun, open_docket: Callable[[], Rulings], *, now: datetime, tick: Tick = lambda _: None
) -> list[tuple[Step, Outcome]]:
    """Do every step in order; raises what a step raises, `CheckFailedError` where the gate refused the candidate."""
    done = list[tuple[Step, Outcome]]()
    for step in STEPS:
        outcome = run_step(run, step, open_docket, now=now, tick=tick)
        tick(told(step, outcome))
        done.append((step, outcome))
    return done


def told(step: Step, outcome: Outcome) -> str:
    """A step's outcome as a line."""
    match outcome:
        case Collected():
            words = f"{len(outcome.asked)} new rulings up to {outcome.sequence}, {len(outcome.left_out)} left out"
        case Mined():
            n = sum(side for side, _ in outcome.chosen)
            words = f"{outcome.wrong} decided wrongly; learn from {n} new cases, {len(outcome.chosen) - n} older ones"
        case Built():
            words = f"{outcome.n_cases} cases in {outcome.dataset}"
        case Trained():
            words = f"{outcome.candidate}, " + ", ".join(f"{k} {v:.4f}" for k, v in outcome.metrics.items())
        case GateResult():
            words = "passed" if outcome.passed else f"refused: {'; '.join(outcome.refusals)}"
        case Promoted():
            words = f"{outcome.seat}"
    return f"{step}: {words}"
