"""Send what a statement gave: its headers, then blocks as they come, and a failure on the way behind a tag.

A failure before the first block is an HTTP error; a later one is written into the stream behind a tag that the
headers announced, as a server does.
"""

import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from warehouse.owner.errors import ClickHouseError
from warehouse.owner.wire.packing import Packing, is_worth_packing

_log = logging.getLogger(__name__)
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


@dataclass(slots=True)
class Counts:
    """What a statement has read and written so far."""

    rows_read: int = 0
    bytes_read: int = 0
    rows_written: int = 0
    bytes_written: int = 0
    elapsed_s: float = 0.0

    def summary(self) -> str:
        """The X-ClickHouse-Summary header."""
        counts = {
            "read_rows": self.rows_read,
            "read_bytes": self.bytes_read,
            "written_rows": self.rows_written,
            "written_bytes": self.bytes_written,
            "elapsed_ns": int(self.elapsed_s * 1e9),
        }
        return json.dumps({name: str(count) for name, count in counts.items()})


@dataclass(frozen=True, slots=True)
class Answer:
    """A small result, whole."""

    payload: bytes = b""
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class Flow:
    """A result in blocks, ready or still running: the first, the others, and what gives back all that they need."""

    first: bytes
    others: Iterator[bytes]
    counts: Counts
    give_back: Callable[[], None]


def format_headers(form: str) -> dict[str, str]:
    return {"X-ClickHouse-Format": form, "Content-Type": _MEDIA_TYPES.get(form, "text/plain; charset=UTF-8")}


def whole_reply(answer: Answer, headers: Mapping[str, str], packing: Packing | None) -> Response:
    """The reply of a small result, packed when that makes sense."""
    sent = {**headers, "X-ClickHouse-Summary": answer.counts.summary()}
    payload = answer.payload
    if packing and is_worth_packing(len(payload)):
        sent["Content-Encoding"] = packing.encoding
        payload = packing.feed(payload) + packing.finish()
    return Response(payload, headers=sent)


class StreamedReply(Response):
    """Send a flow block by block; a client that is lost, or takes nothing for `idle_s`, ends its query."""

    def __init__(
        self,
        flow: Flow,
        headers: Mapping[str, str],
        packing: Packing | None,
        *,
        leave: Callable[[], None],
        next_block: Callable[[Callable[[], bytes]], Awaitable[bytes]],
        cancel: Callable[[], Awaitable[None]],
        idle_s: float,
    ) -> None:
        self._flow = flow
        self._packing = packing
        self._leave = leave
        self._released = False
        self._next_block = next_block
        self._cancel = cancel
        self._idle_s = idle_s
        self._tag = secrets.token_hex(8)
        sent = {
            **headers,
            "X-ClickHouse-Exception-Tag": self._tag,
            "X-ClickHouse-Summary": flow.counts.summary(),
        }
        if packing:
            sent["Content-Encoding"] = packing.encoding
        super().__init__(None, headers=sent)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with anyio.create_task_group() as tasks:

                async def stop_when_gone() -> None:
                    await client_gone(receive)
                    await self._cancel()  # a query that computes between two blocks would be waited for
                    tasks.cancel_scope.cancel()

                tasks.start_soon(stop_when_gone)
                await self._send_all(send)
                tasks.cancel_scope.cancel()
        finally:
            if not self._released:
                with anyio.CancelScope(shield=True):
                    await self._cancel()
                await self._release()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for block in self._blocks():
                for start in range(0, len(block), _SENT_BYTES):
                    piece = block[start : start + _SENT_BYTES]
                    with anyio.fail_after(self._idle_s):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            _log.warning("a client took nothing of its result for %g s, its query is cancelled", self._idle_s)
            return  # without an end: the connection is cut
        # The session is free before the client knows that the result is complete: its next request may follow.
        await self._release()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _blocks(self) -> AsyncIterator[bytes]:
        """The flow's blocks, packed when asked for; the failure that cuts them off; what ends the packing."""
        pack = self._packing.feed if self._packing else bytes
        try:
            yield await self._next_block(lambda: pack(self._flow.first))
            while (block := await self._next_block(self._take)) is not _END:
                yield block
        except ClickHouseError as failure:
            yield pack(self._exception(failure))
        if self._packing:
            yield self._packing.finish()

    def _take(self) -> bytes:
        block = next(self._flow.others, _END)
        return block if block is _END or self._packing is None else self._packing.feed(block)

    def _exception(self, failure: ClickHouseError) -> bytes:
        message = failure.message.encode() + b"\n"
        return (
            f"\r\n__exception__\r\n{self._tag}\r\n".encode()
            + message
            + f"{len(message)} {self._tag}\r\n__exception__\r\n".encode()
        )

    async def _release(self) -> None:
        """End what is left of the query, give back its session and its seat; begun, it is not cut off.

        A killed query may end its reply by itself just when the reply is cancelled because its client has gone.
        """
        self._released = True
        with anyio.CancelScope(shield=True):
            try:
                await anyio.to_thread.run_sync(self._end_query)
            finally:
                self._leave()

    def _end_query(self) -> None:
        close = getattr(self._flow.others, "close", None)
        if close is not None:
            close()
        self._flow.give_back()


_END = bytes(bytearray(b"end"))
"""Told from a block by identity."""


async def client_gone(receive: Receive) -> None:
    """Return once the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
