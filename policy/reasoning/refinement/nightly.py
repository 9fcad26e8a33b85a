"""A refresh's folder and the deployed VLM in; the next VLM, what its gate says, and its seat out: idempotent steps.

RUN/vlm/refined.json, sft, dpo, rl   `refine`
RUN/vlm/gate.json                    both VLMs on the refresh's golden cases and on what the parent got wrong
ROOT/live.json                       moved by `promote`

It learns from the rulings that `collect` found, beside the student, which learns from them too; neither waits for the
other.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from contracts.errors import BadInputError
from policy.casebook import Evidence
from policy.evidence import read_cases
from policy.kept import read_whole, write_whole
from policy.reasoning.models.checkpoint import Checkpoint, read_checkpoint, read_record, weights_digest
from policy.reasoning.models.sampling import longer_than_context, sample
from policy.reasoning.question import Budget
from policy.reasoning.recipe_settings import Recipe
from policy.reasoning.refinement.gate import Answers, VlmGateResult, VlmLimits, compare
from policy.reasoning.refinement.refine import REFINED, Refined, Replay, Tick, refine
from policy.reasoning.refinement.seat import VlmSeat, read_seat, take_seat
from policy.reasoning.rows import Row, ruling_row, ruling_rows
from policy.reasoning.teaching.pictures import looking
from policy.reasoning.training.rewards import ConsistencyJudge
from policy.refresh.run import RefreshRun
from policy.refresh.snapshots import read_snapshot
from policy.refresh.steps import learned_from
from serving.preprocess.media import MediaError, PoolSettings
from serving.releases import open_release

GATE = "gate.json"


@dataclass(frozen=True, slots=True)
class VlmNight:
    """A refresh and the root of the VLM that is refined beside it.

    golden_at_most: so many golden cases are asked of both VLMs, those of the lowest hashes; a large one is slow.
    """

    run: RefreshRun
    root: Path
    recipe: Recipe
    replay: Replay = Replay()
    limits: VlmLimits = VlmLimits()
    golden_at_most: int = 2_000

    @property
    def out(self) -> Path:
        return self.run.home / "vlm"


def refine_tonight(
    night: VlmNight, *, judge: ConsistencyJudge | None = None, tick: Tick = lambda _: None
) -> Refined | None:
    """Post-train the deployed VLM on the night's rulings; None where none is deployed."""
    seat = read_seat(night.root)
    if seat is None:
        return None
    parent = _parent_of(night) if (night.out / REFINED).exists() else Path(seat.checkpoint)
    recipe = replace(night.recipe, budget=_budget(parent))
    new, older = _rows(night, recipe.budget)
    return refine(parent, new, older, night.out, recipe, night.replay, judge=judge, tick=tick)


def gate_tonight(night: VlmNight, *, now: datetime) -> VlmGateResult:
    """Ask both VLMs about the golden cases and about what the parent got wrong; kept in RUN/vlm/gate.json."""
    refined = read_whole(night.out / REFINED, Refined)
    if refined.candidate is None:
        raise BadInputError(f"{night.out}: nothing was learned, there is no candidate for the gate")
    candidate = Path(refined.candidate)
    digest = weights_digest(candidate)
    if (before := _read_gate(night)) is not None and (before.candidate, before.parent) == (digest, refined.parent):
        return before
    seat = read_seat(night.root)
    if seat is None or seat.weights != refined.parent:
        raise BadInputError(f"{night.root}: {seat and seat.weights} rules now, the candidate is of {refined.parent}")
    budget = _budget(candidate)
    golden = [ruling_row(item, budget) for item in _golden(night)]
    asked = {row.row_id: row for row in _rows(night, budget)[0]}
    wrong = [asked[row_id] for row_id in refined.wrong]

    def answers(folder: Path) -> Answers:
        said = _likeliest(read_checkpoint(folder), [*golden, *wrong], night.recipe)
        return Answers(said[: len(golden)], said[len(golden) :])

    refusals, figures = compare(golden, wrong, answers(Path(seat.checkpoint)), answers(candidate), night.limits)
    result = VlmGateResult(
        passed=not refusals,
        refusals=tuple(refusals),
        judged_at=now,
        candidate=digest,
        parent=refined.parent,
        figures=figures,
    )
    write_whole(night.out / GATE, result)
    return result


def promote_tonight(night: VlmNight, *, now: datetime) -> VlmSeat:
    """Give the candidate the seat; raises `CheckFailedError` with the gate's reasons where it was refused."""
    refined = read_whole(night.out / REFINED, Refined)
    if refined.candidate is None:
        raise BadInputError(f"{night.out}: nothing was learned, there is no candidate to deploy")
    return take_seat(night.root, Path(refined.candidate), _read_gate(night), now=now)


def rows_to_learn(evidence: Sequence[Evidence], budget: Budget) -> list[Row]:
    """A row a case: with its reasoning where that is by states, else with its category alone."""
    reasoned = {row.row_id: row for row in ruling_rows(evidence, budget).rows}
    return [reasoned.get(item.case.case_id) or ruling_row(item, budget) for item in evidence]


def _rows(night: VlmNight, budget: Budget) -> tuple[list[Row], list[Row]]:
    """The night's rulings, and the older cases that are reasoned by states."""
    old, new = learned_from(night.run)
    return rows_to_learn(new, budget), ruling_rows(old, budget).rows


def _budget(checkpoint: Path) -> Budget:
    """What the VLM was taught to be asked with."""
    record = read_record(checkpoint)
    return Budget() if record is None else Budget(frames=record.frames, chars=record.chars)


def _likeliest(checkpoint: Checkpoint, rows: Sequence[Row], recipe: Recipe) -> list[str]:
    """The likeliest answer to each; none to what does not fit the context, which is counted as out of form."""
    long = longer_than_context(checkpoint.model, checkpoint.processor, rows, recipe.answer_tokens)
    short = [row for row in rows if row.row_id not in long]
    said = sample(checkpoint.model, checkpoint.processor, short, most_tokens=recipe.answer_tokens)
    answers = {row.row_id: one for row, [one] in zip(short, said, strict=True)}
    return [answers.get(row.row_id, "") for row in rows]


def _golden(night: VlmNight) -> list[Evidence]:
    """The golden cases with their frames, at most so many; those whose media cannot be decoded are asked without."""
    plan = night.run.plan
    path = Path(plan.golden)
    if path.is_dir():
        return _fewest(read_snapshot(path), night.golden_at_most)
    inputs = open_release(Path(plan.parent)).release.inputs
    cases = _fewest([Evidence(case, None) for case in read_cases(path)], night.golden_at_most)
    roots = tuple(Path(root).resolve() for root in plan.media_roots) or (path.resolve().parent,)
    with looking(PoolSettings(roots, 2, inputs.n_frames, inputs.frame_px)) as look:
        seen = look([item.case for item in cases])
    return [
        Evidence(item.case, None if isinstance(one, MediaError) else one) for item, one in zip(cases, seen, strict=True)
    ]


def _fewest(evidence: Sequence[Evidence], most: int) -> list[Evidence]:
    def drawn(item: Evidence) -> bytes:
        return hashlib.blake2b(item.case.case_id.encode(), digest_size=8).digest()

    return sorted(evidence, key=drawn)[:most]


def _parent_of(night: VlmNight) -> Path:
    """The VLM that a gated candidate was made from, though another one may rule by now."""
    refined, seat = read_whole(night.out / REFINED, Refined), read_seat(night.root)
    for folder in (seat.checkpoint, seat.before) if seat is not None else ():
        if folder is not None and weights_digest(Path(folder)) == refined.parent:
            return Path(folder)
    raise BadInputError(f"{night.root}: neither what rules nor what did before has the weights {refined.parent}")


def _read_gate(night: VlmNight) -> VlmGateResult | None:
    path = night.out / GATE
    return read_whole(path, VlmGateResult) if path.exists() else None
