"""The types of a round in, what was answered for each out, in the types' order and never in that of arrival."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from contracts.errors import PrecedentError
from contracts.growth import TypeNode
from policy.growth.calls.ask import Ask, AwayError
from policy.growth.grow.parsing import Parsed, parse
from policy.growth.grow.prompts import messages_of
from policy.growth.grow.settings import GrowthSettings
from policy.growth.taxonomy.hierarchy import Taxonomy
from policy.reasoning.teaching.account import BudgetSpentError


class Try(NamedTuple):
    """One answer: its lines, or by which rule it has none."""

    attempt: int
    parsed: Parsed
    unusable: str | None = None


class Answered(NamedTuple):
    """A type that was asked for children, and the answers: the last one alone may be usable."""

    node: TypeNode
    tries: tuple[Try, ...]


NOTHING = "the answer is empty"


async def ask_round(
    asked: Sequence[TypeNode],
    taxonomy: Taxonomy,
    number: int,
    ask: Ask,
    settings: GrowthSettings,
    *,
    parallel: int,
    advance: Callable[[int], None],
) -> list[Answered]:
    """Ask for children of each type, `parallel` at once.

    Where one may not or cannot be asked, nobody else is, what is under way is waited for and its error is raised:
    `BudgetSpentError`, `AwayError`, one of the domain, or `OSError` where an answer cannot be kept.
    """
    found: list[Answered | None] = [None] * len(asked)
    failed: list[Exception] = []
    left = iter(range(len(asked)))

    async def work() -> None:
        for row in left:
            if failed:
                return
            try:
                found[row] = await _follow(asked[row], taxonomy, number, ask, settings)
            except (AwayError, BudgetSpentError, PrecedentError, OSError) as error:
                failed.append(error)
                return
            advance(1)

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(parallel, len(asked))):
            workers.create_task(work())
    if failed:
        raise failed[0]
    return [answered for answered in found if answered is not None]


def item_of(node: TypeNode, number: int) -> str:
    """What a question is known by: a type is asked once a round."""
    return f"{node.node_id}.r{number}"


async def _follow(node: TypeNode, taxonomy: Taxonomy, number: int, ask: Ask, settings: GrowthSettings) -> Answered:
    messages = messages_of(
        node, taxonomy, subject=settings.subject, most_lines=settings.most_lines, shown=settings.shown
    )
    tries = list[Try]()
    for attempt in range(1, settings.tries + 1):
        said = await ask(item_of(node, number), attempt, messages)
        if said.unusable is not None:
            tries.append(Try(attempt, Parsed(()), said.unusable))
            continue
        parsed = parse(said.text, node.path, most_lines=settings.most_lines)
        tries.append(Try(attempt, parsed, None if parsed.lines or parsed.none else NOTHING))
        if parsed.usable:
            break
    return Answered(node, tuple(tries))
