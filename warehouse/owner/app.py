"""Answer ClickHouse HTTP requests over chDB: credentials, body, statement, then rows or a failure.

A failure before the first block is an HTTP error; a later one is written into the stream behind a tag that the
headers announced, as a server does.
"""

import asyncio
import json
import logging
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from warehouse.owner.bodies import Body, read_form, receive_body
from warehouse.owner.engine import Answer, Engine
from warehouse.owner.errors import ClickHouseError, Code, refuse
from warehouse.owner.requests import Asked, Credentials, given_credentials, read_request
from warehouse.owner.running import Flow, run
from warehouse.owner.statements import Statement, read_statement

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_HEAD_BYTES = 1 << 20
_MAX_STATEMENT_BYTES = 16 << 20
_SENT_BYTES = 1 << 20
_MEDIA_TYPES = {
    "Arrow": "application/vnd.apache.arrow.file",
    "ArrowStream": "application/vnd.apache.arrow.stream",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "Native": "application/octet-stream",
    "Parquet": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What requests may take: bytes of one body, compressed or not, and threads of all together."""

    body_bytes: int = 256 << 20
    threads: int = 8


class Threads:
    """Run blocking work beside the event loop, a bounded number at a time."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, work: Callable[..., _T], *arguments: Any) -> _T:
        self._limiter = self._limiter or anyio.CapacityLimiter(self._number)
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self._limiter)


class Front:
    """The endpoints over one engine."""

    def __init__(self, engine: Engine, credentials: Credentials, limits: Limits) -> None:
        self._engine = engine
        self._credentials = credentials
        self._limits = limits
        self._threads = Threads(limits.threads)

    def app(self) -> Starlette:
        routes = [
            Route("/ping", self.ping),
            Route("/replicas_status", self.ping),
            Route("/", self.answer, methods=["GET", "POST"]),
        ]
        return Starlette(routes=routes)

    async def ping(self, _: Request) -> Response:
        return Response("Ok.\n", media_type="text/html; charset=UTF-8")

    async def answer(self, request: Request) -> Response:
        query_id = str(uuid.uuid4())
        try:
            return await self._answer(request, query_id)
        except ClickHouseError as failure:
            return self._failed(failure, query_id)
        except ClientDisconnect:
            _log.info("a client went away before its request was complete; nothing was run")
            return Response(status_code=400)

    async def _answer(self, request: Request, query_id: str) -> Response:
        url = dict(request.query_params)
        sent = given_credentials(request.headers, url)
        if sent is None and request.method != "POST" and not url:
            return await self.ping(request)
        self._credentials.check(*(sent or ("default", "")))
        encoding = request.headers.get("content-encoding", "").strip().lower()
        limit, folder = self._limits.body_bytes, str(self._engine.spool_folder)
        with await receive_body(request.stream(), encoding, limit=limit, folder=folder) as body:
            asked, statement, data = _read(request.headers, url, body, query_id=query_id)
            if request.method != "POST" and not (statement.reads or statement.changes_session):
                raise refuse(Code.READONLY, "Cannot execute query in readonly mode: method GET implies readonly")
            outcome = await self._run(request, asked, statement, data, query_id)
        headers = self._headers(asked, statement)
        if isinstance(outcome, Flow):
            return Streamed(outcome, headers, self._threads)
        headers["X-ClickHouse-Summary"] = _summary(outcome)
        return Response(outcome.payload, headers=headers)

    async def _run(
        self, request: Request, asked: Asked, statement: Statement, data: Iterator[bytes], tag: str
    ) -> Answer | Flow:
        def work() -> Answer | Flow:
            return run(self._engine, asked, statement, data, tag=tag)

        if not (asked.stops_with_client and statement.reads):
            return await self._threads.run(work)
        gone = asyncio.create_task(self._kill_when_gone(request.receive, tag))
        try:
            return await self._threads.run(work)
        finally:
            gone.cancel()

    async def _kill_when_gone(self, receive: Receive, tag: str) -> None:
        await _client_gone(receive)
        _log.info("a client went away, its query is cancelled")
        await anyio.to_thread.run_sync(self._engine.kill, tag)

    def _headers(self, asked: Asked, statement: Statement) -> dict[str, str]:
        headers = {
            "X-ClickHouse-Query-Id": asked.query_id,
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Server-Display-Name": "precedent",
        }
        if statement.answers:
            form = statement.format or asked.default_format
            headers["X-ClickHouse-Format"] = form
            headers["Content-Type"] = _MEDIA_TYPES.get(form, "text/plain; charset=UTF-8")
        return headers

    def _failed(self, failure: ClickHouseError, query_id: str) -> Response:
        headers = {"X-ClickHouse-Exception-Code": str(failure.code), "X-ClickHouse-Query-Id": query_id}
        if failure.code == Code.AUTHENTICATION_FAILED:
            headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
        text = f"{failure.message} (version {self._engine.version})\n"
        return Response(text, failure.status, headers, media_type="text/plain; charset=UTF-8")


class Streamed(Response):
    """Send a flow block by block; a failure on the way follows the tag, a lost client ends the query."""

    def __init__(self, flow: Flow, headers: Mapping[str, str], threads: Threads) -> None:
        self._flow = flow
        self._threads = threads
        self._tag = secrets.token_hex(8)
        super().__init__(None, headers={**headers, "X-ClickHouse-Exception-Tag": self._tag})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with anyio.create_task_group() as tasks:

                async def stop_when_gone() -> None:
                    await _client_gone(receive)
                    tasks.cancel_scope.cancel()

                tasks.start_soon(stop_when_gone)
                await self._send_blocks(send)
                tasks.cancel_scope.cancel()
        finally:
            self._release()

    async def _send_blocks(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        block: bytes | None = self._flow.first
        try:
            while block:
                for start in range(0, len(block), _SENT_BYTES):
                    piece = block[start : start + _SENT_BYTES]
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                block = await self._threads.run(next, self._flow.others, None)
        except ClickHouseError as failure:
            await send({"type": "http.response.body", "body": self._exception(failure), "more_body": True})
        # The session is free before the client knows that the result is complete: its next request may follow.
        self._release()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _exception(self, failure: ClickHouseError) -> bytes:
        message = failure.message.encode() + b"\n"
        return (
            f"\r\n__exception__\r\n{self._tag}\r\n".encode()
            + message
            + f"{len(message)} {self._tag}\r\n__exception__\r\n".encode()
        )

    def _release(self) -> None:
        """Cancel what is left of the query and give its session back; a second call does nothing."""
        close = getattr(self._flow.others, "close", None)
        if close is not None:
            close()
        self._flow.give_back()


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _read(
    headers: Mapping[str, str], url: Mapping[str, str], body: Body, *, query_id: str
) -> tuple[Asked, Statement, Iterator[bytes]]:
    """The request, its statement, and the rows of an INSERT; statement and rows may lie in the URL, form or body."""
    content_type = headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        form, files = read_form(content_type, body.head(body.size))
        asked = read_request(headers, url, form, files, query_id=query_id)
        return asked, read_statement(asked.query.encode()), iter(())
    asked = read_request(headers, url, {}, [], query_id=query_id)
    front = asked.query.encode() + (b"\n" if asked.query and body.size else b"")
    raw = front + body.head(_HEAD_BYTES)
    statement = read_statement(raw)
    if statement.data_start is not None:
        rest = body.chunks(_HEAD_BYTES)
        return asked, statement, chain([raw[statement.data_start :]], rest)
    if body.size > _MAX_STATEMENT_BYTES:
        raise refuse(Code.QUERY_IS_TOO_LARGE, f"The statement is larger than {_MAX_STATEMENT_BYTES} bytes")
    if body.size > _HEAD_BYTES:
        statement = read_statement(front + body.head(body.size))
    return asked, statement, iter(())


def _summary(answer: Answer) -> str:
    counts = {
        "read_rows": answer.rows_read,
        "read_bytes": answer.bytes_read,
        "written_rows": answer.rows_written,
        "written_bytes": answer.bytes_written,
        "elapsed_ns": int(answer.elapsed_s * 1e9),
    }
    return json.dumps({name: str(count) for name, count in counts.items()})
