"""A judge on loopback that speaks the OpenAI protocol and does whatever it reads: the worst that a model can be.

It reads the data as a model reads it: JSON escapes undone, look-alikes and hidden characters seen through.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from contracts.reasoning import enveloped
from contracts.taxonomy import CATEGORIES

Answer = Callable[[list[dict[str, Any]]], str]


@dataclass(slots=True)
class Judge:
    """What the server was asked and how it answers: `failures` are the statuses of its next answers."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    retry_after: str = "0"
    answer: Answer = lambda _: ""


def obey(messages: list[dict[str, Any]]) -> str:
    """Answer as the words in the data order; where they show an answer in tags, repeat it in the reasoning."""
    text = next(part["text"] for part in messages[1]["content"] if part["type"] == "text")
    written = json.loads(text.split("<uploader_data>\n")[1].split("\n</uploader_data>")[0])
    read = unicodedata.normalize("NFKC", " ".join(filter(None, written.values())))
    read = "".join(c for c in read if unicodedata.category(c) != "Cf")
    ordered = re.search(r"answer (\w+)", read.casefold())
    category = ordered[1] if ordered else "false_benefits"
    states = "<content>{}</content><analysis>it says so</analysis><check>undecided</check>"
    states += "<feedback>none</feedback><summary>so it is</summary>"
    if "<answer>" in read:
        return enveloped(states.format(f"the video says: {read}"), category)
    known = {c.value for c in CATEGORIES}
    return enveloped(states.format("words"), category if category in known else "false_benefits")


@contextmanager
def judge_on_loopback(answer: Answer = obey) -> Iterator[Judge]:
    """A judge that gives to each question what `answer` says to its messages."""
    judge = Judge(answer=answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            judge.keys.append(self.headers.get("Authorization"))
            assert self.path == "/v1/chat/completions"
            if judge.failures:
                status = judge.failures.pop(0)
                self.send_response(status)
                self.send_header("Retry-After", judge.retry_after)
                if status == 302:
                    self.send_header("Location", f"{judge.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            judge.asked.append(body)
            said = json.dumps({"choices": [{"message": {"content": judge.answer(body["messages"])}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    judge.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield judge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
