"""A refresh's folder and the deployed VLM in; the next VLM, what its gate says, and its seat out: idempotent steps.

RUN/vlm/asked.json, sft, dpo, rl, refined.json   `refine`
RUN/vlm/gate.json                                both VLMs on the refresh's golden cases and on what was got wrong
ROOT/live.json                                   moved by `promote`

It learns from what persons ruled, up to what `collect` found, beside the student, which learns from that too; neither
waits for the other. What the student was taught while the VLM's night failed is new to the VLM the next night. What an
adjudicator ruled is left out: it would learn its own opinion as the truth.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from contracts.cases import DecidedCase
from contracts.errors import BadInputError
from contracts.records import Digest
from policy.benchmark.kuaimod import refuse_taught
from policy.casebook import Evidence
from policy.evidence import read_cases
from policy.kept import read_whole, write_whole
from policy.reasoning.measured import sampled
from policy.reasoning.models.checkpoint import Checkpoint, read_checkpoint, read_record, weights_digest
from policy.reasoning.models.sampling import longer_than_context, sample
from policy.reasoning.question import Budget
from policy.reasoning.recipe import digest_of_rows
from policy.reasoning.recipe_settings import Recipe
from policy.reasoning.refinement.gate import Answers, VlmGateResult, VlmLimits, compare
from policy.reasoning.refinement.refine import ASKED, REFINED, Questions, Refined, Replay, Tick, refine
from policy.reasoning.refinement.seat import VlmSeat, checkpoint_of, read_moves, read_seat, take_seat
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
    """Post-train the deployed VLM on what persons ruled since it learned last; None where none is deployed.

    Raises `BadInputError` where a golden case is among what is learned from.
    """
    seat = read_seat(night.root)
    if seat is None:
        return None
    begun = (night.out / ASKED).exists()
    digest = read_whole(night.out / ASKED, Questions).parent if begun else seat.weights
    parent = checkpoint_of(night.root, digest)
    budget = budget_of(parent)
    new, older = _cases(night, digest)
    taught = {one.case.case_id for one in (*new, *older)} | {one.case.upload.video_id for one in (*new, *older)}
    refuse_taught(_golden_cases(night), frozenset(taught), name=f"the VLM of {night.run.home}")
    return refine(
        parent,
        rows_to_learn(new, budget),
        ruling_rows(older, budget).rows,
        night.out,
        replace(night.recipe, budget=budget),
        night.replay,
        judge=judge,
        tick=tick,
    )


def gate_tonight(night: VlmNight, *, now: datetime) -> VlmGateResult:
    """Ask both VLMs about the golden cases and about what the parent got wrong; kept in RUN/vlm/gate.json.

    What was said of the same VLMs by the same questions and limits is not asked again. Golden cases that do not fit
    the context are left out, and counted.
    """
    refined = read_whole(night.out / REFINED, Refined)
    if refined.candidate is None:
        raise BadInputError(f"{night.out}: {refined.reason}, there is no candidate for the gate")
    parent, candidate = checkpoint_of(night.root, refined.parent), Path(refined.candidate)
    budget = budget_of(candidate)
    golden = [ruling_row(item, budget) for item in _golden(night)]
    new = {one.case.case_id: one for one in _cases(night, refined.parent)[0]}
    if odd := [row_id for row_id in refined.wrong if row_id not in new]:
        raise BadInputError(f"{night.out / REFINED}: case {odd[0]} is not among the night's any more, refine anew")
    wrong = rows_to_learn([new[row_id] for row_id in refined.wrong], budget)
    asked, digest = _digest_of(night, golden, wrong), weights_digest(candidate)
    if (night.out / GATE).exists():
        before = read_whole(night.out / GATE, VlmGateResult)
        if (before.candidate, before.parent, before.asked) == (digest, refined.parent, asked):
            return before
    model = read_checkpoint(parent)
    long = longer_than_context(model.model, model.processor, [*golden, *wrong], night.recipe.answer_tokens)
    fitting = [row for row in golden if row.row_id not in long]
    refusals, figures = compare(
        fitting,
        wrong,
        _answers(model, fitting, wrong, night.recipe),
        _answers(read_checkpoint(candidate), fitting, wrong, night.recipe),
        night.limits,
    )
    result = VlmGateResult(
        passed=not refusals,
        refusals=tuple(refusals),
        judged_at=now,
        candidate=digest,
        parent=refined.parent,
        asked=asked,
        figures={**figures, "golden left out": float(len(golden) - len(fitting))},
    )
    write_whole(night.out / GATE, result)
    return result


def promote_tonight(night: VlmNight, *, now: datetime) -> VlmSeat:
    """Give the candidate the seat; raises `CheckFailedError` with the gate's reasons where it was refused."""
    refined = read_whole(night.out / REFINED, Refined)
    if refined.candidate is None:
        raise BadInputError(f"{night.out}: {refined.reason}, there is no candidate to deploy")
    result = read_whole(night.out / GATE, VlmGateResult) if (night.out / GATE).exists() else None
    new, _ = _cases(night, refined.parent)
    learned_until = max(one.case.decided_at for one in new)
    return take_seat(night.root, Path(refined.candidate), result, now=now, learned_until=learned_until)


def rows_to_learn(evidence: Sequence[Evidence], budget: Budget) -> list[Row]:
    """A row a case: with its reasoning where that is by states, else with its category alone."""
    reasoned = {row.row_id: row for row in ruling_rows(evidence, budget).rows}
    return [reasoned.get(item.case.case_id) or ruling_row(item, budget) for item in evidence]


def budget_of(checkpoint: Path) -> Budget:
    """What the VLM was taught to be asked with."""
    record = read_record(checkpoint)
    return Budget() if record is None else Budget(frames=record.frames, chars=record.chars)


def _cases(night: VlmNight, parent: Digest) -> tuple[list[Evidence], list[Evidence]]:
    """What persons ruled that the VLM has not learned from yet, and what it has."""
    old, new = (
        [one for one in side if one.case.weight >= 1.0 and not one.case.votes] for side in learned_from(night.run)
    )
    ruled = [move for move in read_moves(night.root) if move.weights == parent]
    until = ruled[-1].learned_until if ruled else None
    missed = [] if until is None else [one for one in old if one.case.decided_at > until]
    late = {one.case.case_id for one in missed}
    return [*new, *missed], [one for one in old if one.case.case_id not in late]


def _answers(vlm: Checkpoint, golden: Sequence[Row], wrong: Sequence[Row], recipe: Recipe) -> Answers:
    likeliest = sample(vlm.model, vlm.processor, golden, most_tokens=recipe.answer_tokens)
    return Answers([said for [said] in likeliest], sampled(vlm, wrong, recipe, seed=recipe.seed))


def _digest_of(night: VlmNight, golden: Sequence[Row], wrong: Sequence[Row]) -> Digest:
    told = [digest_of_rows(golden), digest_of_rows(wrong), str(asdict(night.limits)), str(night.recipe)]
    return f"sha256:{hashlib.sha256(chr(0).join(told).encode()).hexdigest()}"


def _golden_cases(night: VlmNight) -> list[DecidedCase]:
    path = Path(night.run.plan.golden)
    return [item.case for item in read_snapshot(path)] if path.is_dir() else read_cases(path)


def _golden(night: VlmNight) -> list[Evidence]:
    """The golden cases with their frames, at most so many; raises `BadInputError` where media is broken."""
    plan = night.run.plan
    path = Path(plan.golden)
    if path.is_dir():
        return _fewest(read_snapshot(path), night.golden_at_most)
    inputs = open_release(Path(plan.parent)).release.inputs
    cases = [one.case for one in _fewest([Evidence(case, None) for case in read_cases(path)], night.golden_at_most)]
    roots = tuple(Path(root).resolve() for root in plan.media_roots) or (path.resolve().parent,)
    with looking(PoolSettings(roots, 2, inputs.n_frames, inputs.frame_px)) as look:
        seen = look(cases)
    found = []
    for case, frames in zip(cases, seen, strict=True):
        if isinstance(frames, MediaError):
            raise BadInputError(f"golden case {case.case_id}: media {case.upload.media_url}: {frames}")
        found.append(Evidence(case, frames))
    return found


def _fewest(evidence: Sequence[Evidence], most: int) -> list[Evidence]:
    def drawn(item: Evidence) -> bytes:
        return hashlib.blake2b(item.case.case_id.encode(), digest_size=8).digest()

    return sorted(evidence, key=drawn)[:most]
