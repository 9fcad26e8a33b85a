"""What one request comes to, over a real socket, whatever comes back."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from contracts.errors import DependencyError
from policy.growth.calls.client import Client, NoAnswerError
from policy.reasoning.endpoint import MOST_BYTES, Completion, Endpoint, RefusedError
from tests.policy.growth.calls.saying import Clock, question

GOOD = {"choices": [{"message": {"role": "assistant", "content": "so"}}], "usage": {"prompt_tokens": 9}}
Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Heard:
    """Where a server listens, and what it was sent."""

    base: str = ""
    heads: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)


@asynccontextmanager
async def server(*answers: Answer) -> AsyncIterator[Heard]:
    """Answers its requests one after the other with these bytes, the last again and again, a connection each."""
    heard = Heard()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line for line in head.split("\r\n") if line.lower().startswith("content-length"))
        heard.bodies.append(json.loads(await reader.readexactly(int(length.split(":")[1]))))
        heard.heads.append(head)
        now = answers[min(len(heard.heads), len(answers)) - 1]
        if isinstance(now, bytes):
            writer.write(now)
        else:
            await now(writer)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = asyncio.Event()
        connections.append(ended)
        with suppress(ConnectionError):  # who asked has had enough
            await answer(reader, writer)
            writer.close()
            await writer.wait_closed()
        ended.set()

    connections = list[asyncio.Event]()
    listening = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 24)
    async with listening:
        heard.base = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        yield heard
        for ended in connections:
            await ended.wait()


def http(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def ok(told: object = GOOD) -> bytes:
    return http("200 OK", json.dumps(told).encode())


async def completed(at: Endpoint, clock: Clock, text: str = "what?") -> Completion:
    async with aiohttp.ClientSession() as session:
        client = Client(session, sleep=clock.sleep, clock=clock)
        return await client.complete(at, question(text), temperature=0.5)


def asked(
    *answers: Answer, clock: Clock | None = None, timeout_s: float = 10.0, patience_s: float = 100.0
) -> tuple[Completion | Exception, Heard]:
    """What a request comes to at a server that answers so."""

    async def run() -> tuple[Completion | Exception, Heard]:
        async with server(*answers) as heard:
            at = Endpoint(heard.base, "m", timeout_s=timeout_s, patience_s=patience_s, most_tokens=77)
            try:
                return await completed(at, clock or Clock()), heard
            except (DependencyError, RefusedError) as error:
                return error, heard

    return asyncio.run(run())


def test_a_question_is_sent_as_it_is_and_its_answer_comes_with_its_tokens() -> None:
    said, heard = asked(ok({**GOOD, "usage": {"prompt_tokens": 9, "completion_tokens": 2}}))
    assert said == Completion("so", 9, 2)
    assert heard.bodies == [
        {"model": "m", "messages": [{"role": "user", "content": "what?"}], "temperature": 0.5, "max_tokens": 77}
    ]
    assert heard.heads[0].startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert "authorization" not in heard.heads[0].lower()


def test_a_key_goes_into_its_header() -> None:
    async def run() -> str:
        async with server(ok()) as heard:
            await completed(Endpoint(heard.base, key="secret"), Clock())
            return heard.heads[0]

    assert "Authorization: Bearer secret\r\n" in asyncio.run(run())


def test_one_that_is_busy_is_asked_again_after_twice_as_long_each_time() -> None:
    clock = Clock()
    busy = [http(f"{status} Busy") for status in (500, 502, 503, 504, 408, 409, 425, 429)]
    said, heard = asked(*busy, ok(), clock=clock)
    assert said == Completion("so", 9, 0)
    assert clock.slept == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert len(heard.bodies) == 9
    assert all(body == heard.bodies[0] for body in heard.bodies)


@pytest.mark.parametrize(
    ("header", "slept"),
    [("7", 7.0), ("0.1", 0.5), ("-3", 0.5), ("nan", 0.5), ("Fri, 31 Dec 1999 23:59:59 GMT", 0.5), ("", 0.5)],
)
def test_it_waits_as_long_as_it_is_asked_to(header: str, slept: float) -> None:
    clock = Clock()
    said, _ = asked(http("429 Too Many Requests", b"", f"Retry-After: {header}"), ok(), clock=clock)
    assert said == Completion("so", 9, 0)
    assert clock.slept == [slept]


@pytest.mark.parametrize("header", ["101", "inf", "1e300"])
def test_it_does_not_wait_for_longer_than_its_patience(header: str) -> None:
    clock = Clock()
    said, _ = asked(http("503 Away", b"", f"Retry-After: {header}"), ok(), clock=clock)
    assert isinstance(said, NoAnswerError)
    assert str(said).endswith("/v1: does not answer in 100 s: answers 503")
    assert said.status == 503
    assert clock.slept == []


def test_patience_ends_before_the_try_that_would_come_after_it() -> None:
    clock = Clock()
    said, heard = asked(http("500 Oops"), clock=clock, patience_s=7.5)
    assert isinstance(said, NoAnswerError)
    assert clock.slept == [0.5, 1.0, 2.0, 4.0]  # 7.5 s; another would begin at 15.5 s
    assert len(heard.heads) == 5


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "404 Not Found", "413 Too Large", "204 No"])
def test_a_refusal_is_not_asked_again(status: str) -> None:
    said, heard = asked(http(status, b"{}" if status[0] == "4" else b""), ok())
    assert isinstance(said, RefusedError)
    assert (said.what, said.status) == (f"answers {status}", int(status[:3]))
    assert len(heard.heads) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_one_that_sends_elsewhere_is_refused_and_elsewhere_hears_nothing(status: int) -> None:
    async def run() -> tuple[int, Sequence[str]]:
        async with server(ok()) as elsewhere, server(http(f"{status} Go", b"", f"Location: {elsewhere.base}")) as heard:
            with pytest.raises(RefusedError, match=f"answers {status} Go"):
                await completed(Endpoint(heard.base, key="secret"), Clock())
            return len(heard.heads), elsewhere.heads

    assert asyncio.run(run()) == (1, [])


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": [{"mess',
        b"",
        b"<html>sign in</html>",
        b"[" * 100_000,
        b"\xff\xfe",
        b"null",
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": "so"}}], "usage": {"prompt_tokens": Infinity}}',
        b'{"choices": [{"message": {"content": "so"}}], "usage": {"prompt_tokens": NaN}}',
        b'{"choices": [{"message": {"content": "so"}}], "usage": {"prompt_tokens": "many"}}',
        b'{"choices": [{"message": {"content": "so"}}], "usage": {"prompt_tokens": 1' + b"0" * 5_000 + b"}}",
    ],
)
def test_what_is_no_completion_is_said_so_and_not_asked_again(body: bytes) -> None:
    said, heard = asked(http("200 OK", body), ok())
    assert isinstance(said, RefusedError)
    assert (said.what, said.status) == ("answers with something that is no chat completion", None)
    assert len(heard.heads) == 1


def test_an_answer_without_an_end_is_not_read_to_it() -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(http("200 OK", length=1 << 40))
        while sent < 1 << 28:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    said, _ = asked(endless)
    assert isinstance(said, RefusedError)
    assert said.what == f"answers with more than {MOST_BYTES} bytes"
    assert sent < 1 << 24


def test_a_connection_that_is_cut_or_never_there_is_tried_again() -> None:
    clock = Clock()
    said, heard = asked(http("200 OK", b'{"choices"', length=100), b"", ok(), clock=clock)
    assert said == Completion("so", 9, 0)
    assert clock.slept == [0.5, 1.0]
    assert len(heard.heads) == 3


def test_where_nobody_listens_it_says_so_when_patience_ends() -> None:
    async def run() -> None:
        async with server(ok()) as heard:
            pass
        with pytest.raises(NoAnswerError, match=r"/v1: does not answer in 2 s: ClientConnectorError: ") as raised:
            await completed(Endpoint(heard.base, patience_s=2.0), Clock())
        assert raised.value.status is None

    asyncio.run(run())


def test_an_answer_that_does_not_come_is_waited_for_as_long_as_a_request_may_take() -> None:
    async def never(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)

    said, _ = asked(never, timeout_s=0.02, patience_s=0.0)
    assert isinstance(said, NoAnswerError)
    assert "/v1: does not answer in 0 s: TimeoutError: " in str(said)


def test_pictures_of_several_mebibytes_are_sent() -> None:
    async def run() -> int:
        async with server(ok()) as heard:
            await completed(Endpoint(heard.base), Clock(), "x" * 3_000_000)
            return len(heard.bodies[0]["messages"][0]["content"])

    assert asyncio.run(run()) == 3_000_000
