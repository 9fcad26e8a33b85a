"""A refresh's folder: what it was asked to do, and what each step found, so that a step done is not done again.

RUN/run.json            the plan: parent, docket, golden set, seed, settings
RUN/<step>.json         what a step was given (digest) and what it found
RUN/fresh/              the newly ruled cases, RUN/candidate/ the release

A step's file is written last and appears by one rename: without it the step runs again, and what it left half is
written anew.
"""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field

from contracts.errors import BadInputError
from contracts.records import Count, Digest, Probability, Record, Version
from contracts.releases import GateResult, ReleasePointer, Seat
from policy.kept import read_whole, write_whole
from policy.refresh.mining import Asked, Chosen

EPOCHS, LEARNING_RATE = 8, 3e-3
"""Of a refresh, from its parent's weights. 5 epochs at half the rate find less of new trends, and of old categories."""

Step = Literal["collect", "mine", "build", "train", "gate", "promote"]
STEPS: tuple[Step, ...] = ("collect", "mine", "build", "train", "gate", "promote")
R = TypeVar("R", bound=Record)


class Plan(Record):
    """What a refresh was asked to do; paths as texts. `old` is a snapshot for a parent that names none of its own."""

    releases: str
    parent: str
    docket: str
    golden: str
    traffic: str | None = None
    old: str | None = None
    media_roots: tuple[str, ...] = ()
    seed: Count = 0
    cases_at_most: Count = 20_000
    epochs: Count = EPOCHS
    learning_rate: float = Field(LEARNING_RATE, gt=0)
    seat: Seat = "shadow"


class Collected(Record):
    """Rulings in force that the parent was not taught, up to a place in the docket, and where the older cases lie.

    `old` None: the parent names no snapshot, its casebook is all that is known of what taught it.
    """

    version: Version
    parent_version: Version
    parent: Digest
    sequence: Count
    fresh: str
    snapshot: Digest
    asked: tuple[Asked, ...]
    left_out: tuple[str, ...]
    old: str | None
    fell: tuple[str, ...]


class Mined(Record):
    """Which cases to learn from, how many of the new were decided wrongly, and the traffic's violative share."""

    chosen: tuple[Chosen, ...]
    wrong: Count
    violative_share: Probability


class Built(Record):
    """The data snapshot to train from."""

    dataset: str
    digest: Digest
    n_cases: Count
    violative_share: Probability


class Refreshed(Record):
    """A candidate's lineage beyond its manifest, in `refresh.json`: its plan and its place in the docket."""

    plan: Plan
    sequence: Count


class Trained(Record):
    """The candidate's folder and the digest of its manifest."""

    candidate: str
    manifest: Digest
    metrics: dict[str, float]


class Promoted(Record):
    """The pointer after the candidate took its seat."""

    seat: Seat
    pointer: ReleasePointer


@dataclass(frozen=True, slots=True)
class RefreshRun:
    """A refresh and its folder."""

    home: Path
    plan: Plan

    @classmethod
    def begin(cls, home: Path, plan: Plan) -> "RefreshRun":
        """Begin in a new folder, or go on with the same plan; raises `BadInputError` for another plan."""
        if (home / "run.json").exists():
            run = cls.resume(home)
            if run.plan != plan:
                ours, theirs = plan.model_dump(), run.plan.model_dump()
                odd = next(name for name in ours if ours[name] != theirs[name])
                rule = f"must be {theirs[odd]!r} as this run began"
                raise BadInputError(f"{home / 'run.json'}: {odd} == {ours[odd]!r}, {rule}; take another folder")
            return run
        home.mkdir(parents=True, exist_ok=True)
        write_whole(home / "run.json", plan)
        return cls(home, plan)

    @classmethod
    def resume(cls, home: Path) -> "RefreshRun":
        """Go on with a run that was begun; raises `BadInputError` where none was."""
        return cls(home, read_whole(home / "run.json", Plan))

    @property
    def fresh(self) -> Path:
        return self.home / "fresh"

    @property
    def candidate(self) -> Path:
        return self.home / "candidate"

    def lineage(self, sequence: int) -> Refreshed:
        """What a candidate keeps of the run that made it."""
        return Refreshed(plan=self.plan, sequence=sequence)

    def found(self, step: Step, kind: type[R]) -> R:
        """What a step found; raises `BadInputError` where it has not run."""
        return read_whole(self.home / f"{step}.json", kind)

    def once(self, step: Step, kind: type[R], make: Callable[[], R], *, there: Callable[[R], bool]) -> R:
        """Do a step, unless it is done from the same inputs and what it made is still there."""
        path, given = self.home / f"{step}.json", self.home / f".{step}.given"
        inputs = self._inputs(step)
        if path.exists() and given.exists() and given.read_text(encoding="utf-8") == inputs:
            result = read_whole(path, kind)
            if there(result):
                return result
        path.unlink(missing_ok=True)
        result = make()
        given.write_text(inputs, encoding="utf-8")
        write_whole(path, result)
        return result

    def _inputs(self, step: Step) -> str:
        """Digest of the plan and of what the steps before found."""
        digest = hashlib.sha256(self.plan.model_dump_json().encode())
        for before in STEPS[: STEPS.index(step)]:
            path = self.home / f"{before}.json"
            if not path.exists():
                raise BadInputError(f"{path}: is missing, step {before} must run before {step}")
            digest.update(path.read_bytes())
        return digest.hexdigest()


def clear(folder: Path) -> None:
    """Take away what an earlier attempt left of a folder, and its drafts."""
    for left in (folder, *folder.parent.glob(f".{folder.name}.*")):
        if left.is_dir():
            shutil.rmtree(left)


Outcome = Collected | Mined | Built | Trained | GateResult | Promoted
