"""What tests ask of running parts: events to send, verdicts to recognise, metrics, a condition to wait for."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Message

from streams.processes import Part
from tests.streams.events import upload


def event(name: str, **changes: Any) -> bytes:
    """An upload that happened now, as bytes."""
    return json.dumps(upload(name, **{"occurred_at": datetime.now(UTC).isoformat()} | changes)).encode()


def named(prefix: str) -> Callable[[Message], bool]:
    """Whether a verdict is of an event whose name begins so."""
    return lambda message: (message.key() or b"").startswith(b"v-" + prefix.encode())


def metric(worker: Part, name: str) -> float:
    """The sum of a part's metrics whose line begins so."""
    with urllib.request.urlopen(f"http://{worker.ready['metrics']}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def status(worker: Part, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{worker.ready['metrics']}{path}", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def until(true: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, f"not within {within_s} s"
        time.sleep(0.05)
