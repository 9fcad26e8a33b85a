"""Parts of one stage in, the parts of the next out, each made of what endpoints answer about its items.

    source/part-i -> items -> follow(item, ask), many at a time -> folder/part-i, dropped-i

While part i is made its answers lie in folder/journal-i.jsonl, which goes when the part is there. Parts are written in
their order. So a run that is killed, or stops for its budget, goes on where it was, pays again for no answer, and
leaves the same bytes.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, NamedTuple, TypeVar

import orjson
import polars as pl
from pydantic import Field

from contracts.errors import BadInputError, DependencyError
from contracts.records import Count, Record
from policy.growth.calls.ask import Ask, AwayError, Said
from policy.growth.calls.asker import Asker, seat_of
from policy.growth.parts import (
    Schema,
    check_ends_at,
    digest_of_part,
    is_done,
    n_rows,
    note_of,
    part_at,
    parts_of,
    totals,
    write_part,
)
from policy.reasoning.teaching.account import BudgetSpentError, Spent

T = TypeVar("T")
OPEN_AT_ONCE = 3
"""Parts that are made at once: the next one's items fill the room that the last ones of a part leave."""
SPENT = "spent"
Row = tuple[object, ...]


class Outcome(NamedTuple):
    """Rows of what became of one item, in the order of the stage's columns."""

    kept: Sequence[Row]
    dropped: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Stage(Generic[T]):
    """What a stage makes of each item of a part, and where; `plan` is the digest of all that its answers hang on."""

    name: str
    source: Path
    folder: Path
    kept: Schema
    dropped: Schema
    plan: str
    items: Callable[[Path], Sequence[T]]
    follow: Callable[[T, Ask], Awaitable[Outcome]]


class StageReport(Record):
    """Where all rows of a stage went, and what its answers cost in all; `left` parts are not made yet.

    stopped: by the budget, if it was.
    """

    stage: str
    kept: Count
    dropped: Mapping[str, int]
    left: Count
    spent: Mapping[str, Spent]
    cost: Annotated[float, Field(ge=0.0)]
    stopped: str | None = None


@dataclass(slots=True)
class _Open(Generic[T]):
    """A part that is being made."""

    path: Path
    index: int
    input: str
    items: Sequence[T]
    rows: int
    ask: Ask
    answers: Mapping[str, Said]
    journal: AsyncExitStack
    outcomes: list[Outcome | None]
    left: int

    def take(self, at: int, outcome: Outcome) -> int:
        """Take what became of an item; how many more of the source's rows are done by that."""
        before = self._rows_done()
        self.outcomes[at] = outcome
        self.left -= 1
        return self._rows_done() - before

    def _rows_done(self) -> int:
        return self.rows * (len(self.items) - self.left) // len(self.items)


@dataclass(slots=True)
class _Halt:
    """Why no further item is begun, if so."""

    error: Exception | None = None

    def by(self, error: Exception) -> None:
        self.error = self.error or error


async def run_stage(stage: Stage[T], asker: Asker, *, advance: Callable[[int], None] = lambda _: None) -> StageReport:
    """Make what is not there yet of a stage's parts; `advance` hears of the rows of the source that are done.

    Where the budget ends, what is under way is waited for and the report says so. Raises `DependencyError` where an
    endpoint that the stage cannot do without is away, `BadInputError` where one refuses what it is asked, or the
    folder was made of something else; what was answered by then is kept.
    """
    sources = sources_of(stage)
    check_ends_at(stage.folder, len(sources))
    stage.folder.mkdir(parents=True, exist_ok=True)
    waiting = []
    for index, path in enumerate(sources):
        source = digest_of_part(path)
        if is_done(stage.folder, index, input=source, plan=stage.plan):
            _resume(asker, part_at(stage.folder, index))
            _journal_of(stage, index).unlink(missing_ok=True)
            advance(n_rows(path))
        else:
            asker.count(_journal_of(stage, index), _work_of(stage, source))
            waiting.append((index, path, source))
    halt = await _make(stage, asker, waiting, advance)
    done = totals(stage.folder)
    report = StageReport(
        stage=stage.name,
        kept=done.kept,
        dropped=done.dropped,
        left=len(sources) - len(parts_of(stage.folder)),
        spent=dict(asker.account.spent),
        cost=asker.account.money,
        stopped=str(halt.error) if isinstance(halt.error, BudgetSpentError) else None,
    )
    if isinstance(halt.error, AwayError):
        told = f"{report.left} of {len(sources)} parts of {stage.name} are left, what was answered is kept"
        raise DependencyError(f"{halt.error}; {told}")
    if halt.error is not None and report.stopped is None:
        raise halt.error
    return report


def sources_of(stage: Stage[T]) -> list[Path]:
    """The parts that a stage is made of; raises `BadInputError` where there is none."""
    if not (sources := parts_of(stage.source)):
        raise BadInputError(f"{stage.source}: holds no part, the step before has not run")
    return sources


async def _make(
    stage: Stage[T], asker: Asker, waiting: Sequence[tuple[int, Path, str]], advance: Callable[[int], None]
) -> _Halt:
    halt = _Halt()
    queue: asyncio.Queue[tuple[_Open[T], int] | None] = asyncio.Queue(asker.parallel)
    room = asyncio.Semaphore(OPEN_AT_ONCE)
    opened: dict[int, _Open[T]] = {}

    async def close_whole() -> None:
        """Write the parts that are whole, up to the first that is not: a part is never there before one before it."""
        while opened and (part := opened[min(opened)]).left == 0:
            _write(stage, part)
            del opened[part.index]
            await part.journal.aclose()
            _journal_of(stage, part.index).unlink()
            room.release()

    async def work() -> None:
        while (taken := await queue.get()) is not None:
            part, at = taken
            if halt.error is not None:
                continue
            try:
                advance(part.take(at, await stage.follow(part.items[at], part.ask)))
                await close_whole()
            except Exception as error:  # noqa: BLE001  the run ends by it, when what is under way has come
                halt.by(error)
                room.release()  # who feeds may wait for a part that will not be whole

    async def feed() -> None:
        for index, path, source in waiting:
            await room.acquire()
            if halt.error is not None:
                break
            part = opened[index] = await _open(stage, asker, index, path, source)
            if not part.items:
                advance(part.rows)
                await close_whole()
            for at in range(len(part.items)):
                await queue.put((part, at))

    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(asker.parallel):
                workers.create_task(work())
            try:
                await feed()
            except Exception as error:  # noqa: BLE001  the run ends by it, when what is under way has come
                halt.by(error)
            for _ in range(asker.parallel):
                await queue.put(None)
    finally:
        for part in opened.values():
            await part.journal.aclose()
    return halt


async def _open(stage: Stage[T], asker: Asker, index: int, path: Path, source: str) -> _Open[T]:
    items, rows = stage.items(path), n_rows(path)
    journal = AsyncExitStack()
    kept = await journal.enter_async_context(asker.kept(_journal_of(stage, index), _work_of(stage, source)))
    return _Open(path, index, source, items, rows, kept.ask, kept.answers, journal, [None] * len(items), len(items))


def _write(stage: Stage[T], part: _Open[T]) -> None:
    outcomes = [one for one in part.outcomes if one is not None]
    kept = [row for one in outcomes for row in one.kept]
    dropped = [row for one in outcomes for row in one.dropped]
    write_part(
        stage.folder,
        part.index,
        pl.DataFrame(kept, schema=dict(stage.kept), orient="row"),
        pl.DataFrame(dropped, schema=dict(stage.dropped), orient="row"),
        input=part.input,
        plan=stage.plan,
        notes={SPENT: _spent_in(part.answers)},
    )


def _spent_in(answers: Mapping[str, Said]) -> str:
    """What a part's answers came to, by seat, as JSON."""
    count, prompt, completion = Counter[str](), Counter[str](), Counter[str]()
    for key, said in answers.items():
        seat = seat_of(key)
        count[seat] += 1
        prompt[seat] += said.prompt_tokens
        completion[seat] += said.completion_tokens
    return orjson.dumps({seat: [count[seat], prompt[seat], completion[seat]] for seat in sorted(count)}).decode()


def _resume(asker: Asker, part: Path) -> None:
    for seat, (answers, prompt, completion) in orjson.loads(note_of(part, SPENT) or "{}").items():
        if seat in asker.seats:
            asker.account.resume(seat, Spent(answers=answers, prompt_tokens=prompt, completion_tokens=completion))


def _journal_of(stage: Stage[T], index: int) -> Path:
    return stage.folder / f"journal-{index:05d}.jsonl"


def _work_of(stage: Stage[T], source: str) -> str:
    """What a journal of a part names as its work."""
    return f"{source} {stage.plan}"
