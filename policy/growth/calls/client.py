"""One request in, one completion out, without a thread of its own: bounded in time, in bytes and in patience.

The asynchronous sibling of `policy.reasoning.endpoint.ChatClient`, for hundreds of requests a second: the same
endpoints, errors and rules.
"""

import asyncio
import io
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import orjson

from contracts.errors import DependencyError, printable
from policy.reasoning.endpoint import BUSY, MOST_BYTES, Completion, Endpoint, RefusedError, completion_of, seconds_of
from policy.reasoning.question import Messages

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
Sleep = Callable[[float], Awaitable[Any]]


class NoAnswerError(DependencyError):
    """Patience ended; `status` is what the endpoint said last, None where it said nothing."""

    def __init__(self, what: str, status: int | None) -> None:
        super().__init__(what)
        self.status = status


class _Busy(NamedTuple):
    """Why another try may do better, after which status, and in how many seconds at the earliest."""

    reason: str
    status: int | None = None
    asked_s: float = 0.0


class Client:
    """Asks endpoints over one session, which whoever made it closes."""

    def __init__(
        self, session: Any, *, sleep: Sleep = asyncio.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._session = session
        self._sleep = sleep
        self._clock = clock

    async def complete(self, at: Endpoint, messages: Messages, *, temperature: float) -> Completion:
        """Ask until an answer comes.

        Raises `NoAnswerError` when patience ends, `RefusedError` when the endpoint refuses the request or answers
        with something that is no completion.
        """
        body = orjson.dumps(
            {"model": at.model, "messages": messages, "temperature": temperature, "max_tokens": at.most_tokens}
        )
        until, wait = self._clock() + at.patience_s, FIRST_WAIT_S
        while True:
            found = await self._once(at, body)
            if isinstance(found, bytes):
                return completion_of(found, at.base)
            pause = max(wait, found.asked_s)
            if self._clock() + pause > until:
                told = f"{at.base}: does not answer in {at.patience_s:g} s: {found.reason}"
                raise NoAnswerError(told, found.status)
            await self._sleep(pause)
            wait = min(2.0 * wait, LONGEST_WAIT_S)

    async def _once(self, at: Endpoint, body: bytes) -> bytes | _Busy:
        import aiohttp

        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {at.key}"} if at.key else {})
        limit = aiohttp.ClientTimeout(total=at.timeout_s)
        address = f"{at.base.rstrip('/')}/chat/completions"
        try:
            async with self._session.post(
                address, data=io.BytesIO(body), headers=headers, allow_redirects=False, timeout=limit
            ) as got:
                if got.status in BUSY:
                    return _Busy(f"answers {got.status}", got.status, seconds_of(got.headers.get("Retry-After")))
                if got.status != 200:  # one that sends us elsewhere too: the key and the pictures are for it alone
                    reason = printable(str(got.reason), at_most=80)
                    raise RefusedError(at.base, f"answers {got.status} {reason}", got.status)
                return await _bounded(got.content)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return _Busy(f"{type(error).__name__}: {printable(str(error), at_most=120)}")


async def _bounded(content: Any) -> bytes:
    """What comes, up to one byte more than may come."""
    parts, size = list[bytes](), 0
    async for part in content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            break
    return b"".join(parts)
