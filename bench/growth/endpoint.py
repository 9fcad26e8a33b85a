"""Requests of every step of growth in, answers of an imperfect model out over real HTTP: deterministic, and counted.

    python -m bench.growth.endpoint     prints "ready http://127.0.0.1:PORT", and ends when its standard input does

What it answers is a function of what it is shown and of the path it is asked at, so that three paths are three
referees. It says nothing about pictures: it is for scale, kills and counts. `GET /counts` tells how many requests came,
how many of them came before, and how many were under way at once.
"""

import asyncio
import hashlib
import sys
from collections import Counter
from typing import Any

import click
import orjson

from bench.growth.namer import children
from policy.growth.samples import questions, referee, strike

STRUCK = 0.22
"""Share of the types that are struck."""
USABLE = 0.995
"""Share of the answers that are of the form that was asked for."""
GOOD, CAREFUL = 0.96, 0.985
"""Share of the samples that are good, and how often a referee says what a sample is."""


def chance(*told: str) -> float:
    """A number in [0, 1) that hangs on what is told alone."""
    return int.from_bytes(hashlib.blake2b("\0".join(told).encode(), digest_size=8).digest(), "big") / 2**64


def answer(path: str, messages: list[dict[str, Any]]) -> str:
    """What the model at this path says."""
    system, shown = messages[0]["content"], messages[1]["content"]
    if isinstance(shown, str):
        asked = orjson.loads(shown)
        return children(asked["path"].split("~"), asked["children"], 0)
    told = shown[-1]["text"]
    seen = hashlib.blake2b(orjson.dumps(shown), digest_size=8).hexdigest()
    if chance(path, seen, "usable") > USABLE:
        return "I would rather describe the picture."
    lines = [line.partition(". ")[2] for line in told.split("\n") if line[:1].isdigit()]
    if system.startswith(strike.TASK):
        return orjson.dumps({"strike": [at for at, one in enumerate(lines, 1) if chance(seen, one) < STRUCK]}).decode()
    if system.startswith(questions.TASK):
        return orjson.dumps({"samples": [_sample(at, one, seen) for at, one in enumerate(lines, 1)]}).decode()
    if system.startswith(referee.TASK):
        return orjson.dumps({"scores": _scores(told, path)}).decode()
    return ""


def _sample(at: int, label: str, seen: str) -> dict[str, Any]:
    name = label.rpartition("~")[2]
    return {"type": at, "question": f"Which {name} are to be seen?", "answer": f"Those of group {seen[:6]}."}


def _scores(told: str, path: str) -> list[int]:
    """By the sample's text, which all referees see alike, and by the referee's own slips."""
    samples = [one.strip().rstrip("0123456789. \n") for one in told.split("Type: ")[1:]]
    return [int((chance(one, "good") < GOOD) == (chance(path, one) < CAREFUL)) for one in samples]


class Counts:
    """What came."""

    def __init__(self) -> None:
        self.calls = 0
        self.seen: Counter[bytes] = Counter()
        self.under_way = 0
        self.most_under_way = 0

    def told(self) -> bytes:
        again = sum(times - 1 for times in self.seen.values())
        return orjson.dumps({"calls": self.calls, "again": again, "most_under_way": self.most_under_way})


class Answering(asyncio.Protocol):
    """One connection: requests one after the other, each with its Content-Length."""

    def __init__(self, counts: Counts, delay_s: float) -> None:
        self._counts = counts
        self._delay_s = delay_s
        self._waiting = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            head = self._waiting[:end]
            length = _length(head)
            if len(self._waiting) < end + 4 + length:
                return
            body = self._waiting[end + 4 : end + 4 + length]
            self._waiting = self._waiting[end + 4 + length :]
            method, path, _ = head.split(b" ", 2)
            if method == b"GET":
                self._send(self._counts.told())
            else:
                self._count(path + body)
                asyncio.get_running_loop().call_later(self._delay_s, self._say, path.decode(), body)

    def _count(self, request: bytes) -> None:
        counts = self._counts
        counts.calls += 1
        counts.seen[hashlib.blake2b(request, digest_size=12).digest()] += 1
        counts.under_way += 1
        counts.most_under_way = max(counts.most_under_way, counts.under_way)

    def _say(self, path: str, body: bytes) -> None:
        self._counts.under_way -= 1
        text = answer(path, orjson.loads(body)["messages"])
        usage = {"prompt_tokens": len(body) // 16, "completion_tokens": 1 + len(text) // 4}
        self._send(orjson.dumps({"choices": [{"message": {"role": "assistant", "content": text}}], "usage": usage}))

    def _send(self, body: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            self._transport.write(head + body)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


@click.command()
@click.option("--port", default=0, show_default=True, help="0: a free one.")
@click.option("--delay-ms", default=0.0, show_default=True, help="Before each answer, as a model would take.")
def main(port: int, delay_ms: float) -> None:
    """Answer until standard input ends."""
    asyncio.run(_serve(port, delay_ms / 1000.0))


async def _serve(port: int, delay_s: float) -> None:
    loop, counts = asyncio.get_running_loop(), Counts()
    server = await loop.create_server(lambda: Answering(counts, delay_s), "127.0.0.1", port, backlog=1_024)
    click.echo(f"ready http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    sys.stdout.flush()
    async with server:
        await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    main()
