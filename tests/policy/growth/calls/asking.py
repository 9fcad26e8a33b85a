"""Askers over a journal, asked at once or in turn, and endpoints that fail at some of the questions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from policy.growth.calls.ask import Ask, Said
from policy.growth.calls.asker import Asker
from policy.growth.calls.client import NoAnswerError
from policy.reasoning.endpoint import Completion, Endpoint, RefusedError
from policy.reasoning.question import Messages
from tests.policy.growth.calls.saying import AT, Says, question, text_of

T = TypeVar("T")
SO = Completion("so", 7, 3)


def says_so(_at: Endpoint, _messages: Messages) -> Completion:
    return SO


def by_text(told: Mapping[str, Completion | Exception], usual: Completion = SO) -> Says:
    def says(_at: Endpoint, messages: Messages) -> Completion:
        found = told.get(text_of(messages), usual)
        if isinstance(found, Exception):
            raise found
        return found

    return says


def away(status: int | None = None) -> NoAnswerError:
    return NoAnswerError(f"{AT.base}: does not answer in 180 s", status)


def refused(status: int | None, what: str = "answers it so") -> RefusedError:
    return RefusedError(AT.base, what, status)


def run(asker: Asker, path: Path, does: Callable[[Ask], Awaitable[T]]) -> T:
    path.mkdir(exist_ok=True)

    async def kept() -> T:
        async with asker.kept(path / "journal.jsonl", "work") as (ask, _):
            return await does(ask)

    return asyncio.run(kept())


def each(*texts: str) -> Callable[[Ask], Awaitable[list[Said | BaseException]]]:
    """Ask all at once; what each came to."""

    async def does(ask: Ask) -> list[Said | BaseException]:
        return await asyncio.gather(*(ask(text, 1, question(text)) for text in texts), return_exceptions=True)

    return does


def in_turn(*texts: str) -> Callable[[Ask], Awaitable[list[Said | Exception]]]:
    """Ask one after the other; what each came to."""

    async def does(ask: Ask) -> list[Said | Exception]:
        found = list[Said | Exception]()
        for text in texts:
            try:
                found.append(await ask(text, 1, question(text)))
            except Exception as error:  # noqa: BLE001  whatever it raises is what is looked at
                found.append(error)
        return found

    return does


def kinds(found: Sequence[object]) -> list[str]:
    return ["said" if isinstance(one, Said) else type(one).__name__ for one in found]
