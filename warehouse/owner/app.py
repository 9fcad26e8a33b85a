"""Answer ClickHouse HTTP requests over chDB: credentials, body, statement, a seat, then rows or a failure."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from warehouse.owner.admission import Admission
from warehouse.owner.engine import Engine
from warehouse.owner.errors import ClickHouseError, Code, refuse
from warehouse.owner.running import run
from warehouse.owner.wire.bodies import Body, read_form, receive_body
from warehouse.owner.wire.packing import packing_asked
from warehouse.owner.wire.replies import Answer, Flow, StreamedReply, client_gone, format_headers, whole_reply
from warehouse.owner.wire.requests import Asked, Credentials, given_credentials, read_request
from warehouse.owner.wire.statements import Statement, read_statement

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_HEAD_BYTES = 1 << 20
_MAX_STATEMENT_BYTES = 16 << 20
# A query that is cancelled before it has begun begins none the less: it is cancelled again until it ends.
_KILL_AGAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """What requests may take: bytes of one body, queries at a time, and seconds of waiting for a turn or a client."""

    body_bytes: int = 256 << 20
    queries: int = 32
    queue_s: float = 30.0
    idle_s: float = 120.0
    connections: int = 256


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
        self._admission = Admission(limits.queries, limits.queue_s)
        # A few more than seats, so that a KILL always finds one.
        self._threads = Threads(limits.queries + 4)

    def app(self) -> Starlette:
        routes = [
            Route("/ping", self.ping),
            Route("/replicas_status", self.ping),
            Route("/", self.answer, methods=["GET", "POST"]),
        ]
        return Starlette(routes=routes)

    def close(self) -> None:
        """Let nobody begin any more."""
        self._admission.close()

    async def ping(self, _: Request) -> Response:
        return Response("Ok.\n", media_type="text/html; charset=UTF-8")

    async def answer(self, request: Request) -> Response:
        query_id = str(uuid.uuid4())
        try:
            return await self._answer(request, query_id)
        except ClickHouseError as failure:
            return self._failed(failure, query_id)
        except ClientDisconnect:
            _log.info("a client went away before its request was run")
            return Response(status_code=400)
        except Exception:  # noqa: BLE001 - a bug of ours: the client hears of it, the log has its trace
            _log.exception("request %s failed inside this process", query_id)
            return self._failed(refuse(Code.UNKNOWN_EXCEPTION, "The warehouse's own fault, see its log"), query_id)

    async def _answer(self, request: Request, query_id: str) -> Response:
        url = dict(request.query_params)
        sent = given_credentials(request.headers, url)
        if sent is None and request.method != "POST" and not url:
            return await self.ping(request)
        self._credentials.check(*(sent or ("default", "")))
        with await self._receive(request) as body:
            asked, statement, data = _read(request.headers, url, body, query_id=query_id)
            if request.method != "POST" and not (statement.reads or statement.changes_session):
                raise refuse(Code.READONLY, "Cannot execute query in readonly mode: method GET implies readonly")
            packing = packing_asked(request.headers, asked.settings)
            gone = asyncio.create_task(client_gone(request.receive))
            try:
                leave = await self._admit(statement, gone)
                try:
                    outcome = await self._run(asked, statement, data, query_id, gone)
                except BaseException:
                    leave()
                    raise
            finally:
                gone.cancel()
        headers = self._headers(asked, statement)
        if isinstance(outcome, Answer):
            leave()
            return whole_reply(outcome, headers, packing)
        return StreamedReply(
            outcome,
            headers,
            packing,
            leave=leave,
            next_block=self._threads.run,
            cancel=partial(self._kill, query_id),
            idle_s=self._limits.idle_s,
        )

    async def _receive(self, request: Request) -> Body:
        return await receive_body(
            request.stream(),
            request.headers.get("content-encoding", "").strip().lower(),
            limit=self._limits.body_bytes,
            folder=str(self._engine.spool_folder),
            idle_s=self._limits.idle_s,
        )

    async def _admit(self, statement: Statement, gone: "asyncio.Task[None]") -> Callable[[], None]:
        """Wait for a seat unless the client goes away; what gives it back is returned. A KILL needs none."""
        if statement.keyword == "KILL":
            return _nothing
        turn = asyncio.ensure_future(self._admission.take())
        try:
            await asyncio.wait({turn, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not turn.done():
                turn.cancel()
        if not turn.done():
            raise ClientDisconnect
        turn.result()
        return self._admission.give_back

    async def _run(
        self, asked: Asked, statement: Statement, data: Iterator[bytes], tag: str, gone: "asyncio.Task[None]"
    ) -> Answer | Flow:
        work = asyncio.ensure_future(self._threads.run(partial(run, self._engine, asked, statement, data, tag=tag)))
        if asked.stops_with_client and statement.reads:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                _log.info("a client went away, its query is cancelled")
            while not work.done():
                await self._kill(tag)
                await asyncio.wait({work}, timeout=_KILL_AGAIN_S)
        return await work

    async def _kill(self, tag: str) -> None:
        await anyio.to_thread.run_sync(self._engine.kill, tag)

    def _headers(self, asked: Asked, statement: Statement) -> dict[str, str]:
        headers = {
            "X-ClickHouse-Query-Id": asked.query_id,
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Server-Display-Name": "precedent",
        }
        return headers | (format_headers(statement.format or asked.default_format) if statement.answers else {})

    def _failed(self, failure: ClickHouseError, query_id: str) -> Response:
        headers = {"X-ClickHouse-Exception-Code": str(failure.code), "X-ClickHouse-Query-Id": query_id}
        if failure.code == Code.AUTHENTICATION_FAILED:
            headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
        text = f"{failure.message} (version {self._engine.version})\n"
        return Response(text, failure.status, headers, media_type="text/plain; charset=UTF-8")


def _nothing() -> None:
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
