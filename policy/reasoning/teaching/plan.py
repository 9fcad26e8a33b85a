"""What a run asks of whom, kept beside its journal: it goes on with the same plan, or not at all."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from contracts.cases import DecidedCase
from contracts.errors import BadInputError, first_reason
from contracts.records import Count, Digest, Record
from policy.evidence import digest_of_cases
from policy.kept import write_whole
from policy.reasoning.endpoint import Endpoint
from policy.reasoning.question import Budget
from policy.reasoning.teaching.account import Limits, Price
from policy.reasoning.teaching.prompts import digest_of_prompts

PLAN = "run.json"
Disagreements = Literal["drop", "review"]


@dataclass(frozen=True, slots=True)
class TeachingSettings:
    """How a run teaches: `tries` of each stage and case, `parallel` cases at once, requests a minute of an endpoint.

    budget and frame_px: how much of a case is shown. hide_names: of categories, from the reader. What cases are asked
    is in the plan and cannot change in a run; `disagreements`, pace, prices and limits can.
    """

    tries: int = 3
    parallel: int = 4
    per_minute: float | None = None
    temperature: float = 1.0
    budget: Budget = field(default_factory=Budget)
    frame_px: int = 224
    hide_names: bool = True
    disagreements: Disagreements = "drop"
    teacher_price: Price = Price()
    reader_price: Price = Price()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("tries", self.tries, 1, 20),
            ("parallel", self.parallel, 1, 256),
            ("temperature", self.temperature, 0.0, 2.0),
            ("frame_px", self.frame_px, 16, 1_024),
        ):
            if not low <= value <= high:
                raise BadInputError(f"{name} == {value:g}, must be in [{low:g}, {high:g}]")


class Plan(Record):
    """All that what is asked hangs on; an endpoint's address is not part of it, its model is."""

    cases: Digest
    n_cases: Count
    teacher: str
    teacher_tokens: Count
    reader: str
    reader_tokens: Count
    prompts: Digest
    tries: Count
    temperature: Annotated[float, Field(ge=0.0)]
    frames: Count
    frame_px: Count
    chars: Count
    hide_names: bool

    @classmethod
    def of(
        cls, cases: Sequence[DecidedCase], teacher: Endpoint, reader: Endpoint, settings: TeachingSettings
    ) -> "Plan":
        return cls(
            cases=digest_of_cases(cases),
            n_cases=len(cases),
            teacher=teacher.model,
            teacher_tokens=teacher.most_tokens,
            reader=reader.model,
            reader_tokens=reader.most_tokens,
            prompts=digest_of_prompts(),
            tries=settings.tries,
            temperature=settings.temperature,
            frames=settings.budget.frames,
            frame_px=settings.frame_px,
            chars=settings.budget.chars,
            hide_names=settings.hide_names,
        )


@contextmanager
def folder_of(home: Path, plan: Record) -> Iterator[None]:
    """Hold a run's folder: begin it, or go on in it with the same plan, alone.

    Raises `BadInputError` naming all that differs, where another process works in it, or where it is no run's.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInputError(f"{home}: another process is teaching there, one works in a folder at a time") from None
        _begin_or_go_on(home, plan)
        yield


def _begin_or_go_on(home: Path, plan: Record) -> None:
    path = home / PLAN
    if not path.exists():
        if any(name for name in os.listdir(home) if not name.startswith(".")):
            raise BadInputError(f"{home}: holds files and no {PLAN}, must be new or the folder of a run")
        write_whole(path, plan)
        return
    try:
        begun = type(plan).model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadInputError(f"{path}: {first_reason(error)}") from error
    ours, theirs = plan.model_dump(), begun.model_dump()
    odd = [f"{name} == {ours[name]!r}, was {theirs[name]!r}" for name in ours if ours[name] != theirs[name]]
    if odd:
        raise BadInputError(f"{path}: {'; '.join(odd)}: a run goes on as it began, take another folder")
