"""A teacher and reader on loopback that speaks the OpenAI protocol: what it answers hangs on the request alone.

Marks in a title make it misbehave, so that a killed run and its twin meet the same teacher: [nonsense], [empty],
[half] a JSON, [cut] off by the connection, [deep] brackets, [endless] or [negative] tokens, [huge], [surrogate],
[other] category, [swapped] with another video's reasoning, [told] that the tag was given, [slow], [500], [400]; the
reader's are [unread] and [none]. [second] alone hangs on the past: the first answer to such a request is nonsense.
"""

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from contracts.reasoning import enveloped
from contracts.taxonomy import CATEGORIES

TOKENS = {"teacher": (100, 20), "reader": (10, 2)}
Body = dict[str, Any]


@dataclass(slots=True)
class Teacher:
    """What the server was asked, and how it is today: `down` is the status that it answers all with."""

    url: str = ""
    asked: list[Body] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    keys: list[str | None] = field(default_factory=list)
    down: int | None = None
    refused: int = 0
    counts_tokens: bool = True
    delay_s: float = 0.0
    under_way: int = 0
    most_under_way: int = 0
    lock: Lock = field(default_factory=Lock)


def title_of(body: Body) -> str:
    """The title as a model reads it, or nothing where the request shows none."""
    parts = body["messages"][1]["content"]
    if isinstance(parts, str):
        return ""
    text = next(part["text"] for part in parts if part["type"] == "text")
    return str(json.loads(text.split("<uploader_data>\n")[1].split("\n</uploader_data>")[0])["title"])


def states_of(body: Body) -> dict[str, str]:
    """The states that a reader is shown."""
    text = body["messages"][1]["content"]
    read: dict[str, str] = json.loads(text.split("<reasoning>\n")[1].split("\n</reasoning>")[0])
    return read


def teach(body: Body) -> str:
    """The reasoning of one who obeys: it names the title, and the category by its number alone."""
    title, last = title_of(body), body["messages"][1]["content"][-1]["text"]
    ruled = CATEGORIES[[f"ruled: {c.value}." in last for c in CATEGORIES].index(True)]
    other = CATEGORIES[(ruled.position + 1) % len(CATEGORIES)]
    said = "rule {} is broken".format((other if "[swapped]" in title else ruled).position)
    content, seen = re.sub(r"[<>]", "", title), "as the given tag says" if "[told]" in title else "as seen"
    states = f"<content>{content}</content><analysis>{seen}</analysis><check>undecided</check>"
    states += f"<feedback>few reports</feedback><summary>{said}</summary>"
    return enveloped(states, (other if "[other]" in title else ruled).value)


def read(body: Body) -> str:
    """What a reader concludes from the states."""
    states = states_of(body)
    if "[unread]" in states["content"]:
        return "I would rather not say"
    if "[none]" in states["content"]:
        return enveloped("nothing follows", "none")
    return enveloped("so it says", CATEGORIES[int(re.findall(r"rule (\d+)", states["summary"])[0])].value)


@contextmanager
def teacher_on_loopback() -> Iterator[Teacher]:
    teacher = Teacher()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            with teacher.lock:
                teacher.under_way += 1
                teacher.most_under_way = max(teacher.most_under_way, teacher.under_way)
            try:
                self.answer(raw)
            except (BrokenPipeError, ConnectionResetError):
                pass  # who asked was killed, or did not wait
            finally:
                with teacher.lock:
                    teacher.under_way -= 1

        def answer(self, raw: bytes) -> None:
            body = json.loads(raw)
            title, digest = title_of(body), hashlib.sha256(raw).hexdigest()
            if teacher.down is not None:
                teacher.refused += 1
                return self.send(teacher.down, b"")
            for status in (400, 500):
                if f"[{status}]" in title:
                    return self.send(status, b"")
            time.sleep(teacher.delay_s + (1.0 if "[slow]" in title else 0.0))
            with teacher.lock:
                teacher.asked.append(body)
                teacher.keys.append(self.headers.get("Authorization"))
                teacher.answered[digest] += 1
                first = teacher.answered[digest] == 1
            text: str | None = teach(body) if isinstance(body["messages"][1]["content"], list) else read(body)
            if "[nonsense]" in title or ("[second]" in title and first):
                text = "The video is about cooking."
            elif "[huge]" in title:
                text = "x" * 30_000
            elif "[surrogate]" in title:
                text = "\ud83d"
            elif "[empty]" in title:
                text = None
            tokens = TOKENS["teacher" if title else "reader"]
            usage = dict(zip(("prompt_tokens", "completion_tokens"), tokens, strict=True))
            if "[endless]" in title or "[negative]" in title:
                usage["prompt_tokens"] = float("inf") if "[endless]" in title else -5  # type: ignore[assignment]
            said = json.dumps(
                {"choices": [{"message": {"content": text}}]} | ({"usage": usage} if teacher.counts_tokens else {})
            ).encode()
            if "[deep]" in title:
                said = b"[" * 100_000
            half = said[: len(said) // 2]
            cut = "[cut]" in title
            return self.send(200, half if cut or "[half]" in title else said, missing=len(half) if cut else 0)

        def send(self, status: int, body: bytes, *, missing: int = 0) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + missing))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    teacher.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield teacher
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
