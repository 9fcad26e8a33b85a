"""Take a request's body apart: undo its compression in bounded steps, keep it, split its form fields."""

import asyncio
import os
import re
import shutil
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from tempfile import TemporaryFile
from typing import IO, Any, Protocol, Self

from warehouse.owner.errors import ClickHouseError, Code, refuse

_STEP_BYTES = 1 << 20
_IN_MEMORY_BYTES = 4 << 20


class Decompressor(Protocol):
    """What lz4 and zstd offer alike: at most `max_length` bytes a call, and whether more input is needed."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Deflate:
    """zlib's own decompressor behind the same face."""

    def __init__(self, window_bits: int) -> None:
        self._inflate = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)


class _Brotli:
    """Brotli's own decompressor behind the same face; it has no second stream behind the first."""

    def __init__(self) -> None:
        import brotli  # type: ignore[import-untyped]

        self._inflate = brotli.Decompressor()
        self.unused_data = b""

    @property
    def eof(self) -> bool:
        return bool(self._inflate.is_finished())

    @property
    def needs_input(self) -> bool:
        return bool(self._inflate.can_accept_more_data())

    def decompress(self, data: bytes, max_length: int) -> bytes:
        unpacked: bytes = self._inflate.process(data, output_buffer_limit=max_length)
        return unpacked


def _new_decompressor(encoding: str) -> Decompressor:
    if encoding == "lz4":
        from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

        return LZ4FrameDecompressor()
    if encoding == "zstd":
        from backports.zstd import ZstdDecompressor

        return ZstdDecompressor()
    if encoding in {"gzip", "x-gzip"}:
        return _Deflate(zlib.MAX_WBITS | 16)
    if encoding == "deflate":
        return _Deflate(zlib.MAX_WBITS)
    if encoding == "br":
        return _Brotli()
    raise refuse(
        Code.UNKNOWN_COMPRESSION_METHOD,
        f"Content-Encoding == {encoding!r}, must be one of lz4, zstd, gzip, br, deflate, identity",
    )


class Unpacking:
    """Decompress a body of one or more frames, at most 1 MiB a step however small its input is."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._frame: Decompressor | None = None
        _new_decompressor(encoding)  # an unknown encoding is refused before the body is read

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            self._frame = self._frame or _new_decompressor(self._encoding)
            try:
                yield self._frame.decompress(chunk, _STEP_BYTES)
                while not self._frame.eof and not self._frame.needs_input:
                    yield self._frame.decompress(b"", _STEP_BYTES)
            except Exception as error:  # each codec raises its own class
                message = f"Cannot decompress the request's {self._encoding} body: {error}"
                raise refuse(Code.CANNOT_DECOMPRESS, message) from error
            if not self._frame.eof:
                return
            chunk = self._frame.unused_data or b""
            self._frame = None

    def finish(self) -> None:
        """Raise `ClickHouseError` when the body ended inside a frame."""
        if self._frame is not None:
            raise refuse(Code.CANNOT_DECOMPRESS, f"The request's {self._encoding} body is cut off")


class Body:
    """Bytes that are kept for a while: in memory up to 4 MiB, in a file of the folder without a name beyond."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._file: IO[bytes] = open(os.memfd_create("body"), "w+b")  # noqa: SIM115
        self._on_disk = False
        self.size = 0

    def append(self, chunk: bytes) -> None:
        """Raises `ClickHouseError` 243 when the disk takes no more."""
        self.size += len(chunk)
        try:
            if not self._on_disk and self.size > _IN_MEMORY_BYTES:
                self._move_to_disk()
            self._file.write(chunk)
        except OSError as error:
            raise self._full(error) from error

    def _move_to_disk(self) -> None:
        small = self._file
        self._file = TemporaryFile(dir=self._folder)  # noqa: SIM115
        self._on_disk = True
        with small:
            small.seek(0)
            shutil.copyfileobj(small, self._file)

    def _full(self, error: OSError) -> ClickHouseError:
        return refuse(Code.NOT_ENOUGH_SPACE, f"Cannot keep {self.size} bytes on disk: {error.strerror}")

    def path(self) -> str:
        """A path by which others of this process read it from its beginning, as long as it is open."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._full(error) from error
        return f"/proc/self/fd/{self._file.fileno()}"

    def head(self, size: int) -> bytes:
        self._file.seek(0)
        return self._file.read(size)

    def chunks(self, start: int) -> Iterator[bytes]:
        self._file.seek(start)
        while chunk := self._file.read(_STEP_BYTES):
            yield chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with suppress(OSError):  # a full disk refuses what was still buffered, and nobody needs it any more
            self._file.close()


async def receive_body(stream: AsyncIterator[bytes], encoding: str, *, limit: int, folder: str, idle_s: float) -> Body:
    """Receive and unpack a body of at most `limit` bytes, raw and unpacked alike; else `ClickHouseError` 413.

    What exceeds the limit is read to its end, or to four times the limit, and dropped: a client that is still
    sending does not read our answer. A client that sends nothing for `idle_s` is given up (209).
    """
    unpacking = None if encoding in {"", "identity"} else Unpacking(encoding)
    body = Body(folder)
    failure: ClickHouseError | None = None
    received = 0
    try:
        async for chunk in _awaited(stream, idle_s):
            received += len(chunk)
            if failure is not None:
                if received > 4 * limit:
                    break
                continue
            try:
                for piece in unpacking.feed(chunk) if unpacking else (chunk,):
                    body.append(piece)
                    if max(body.size, received) > limit:
                        failure = refuse(
                            Code.TOO_MANY_BYTES,
                            f"The request's body has {received} bytes so far and {body.size} unpacked, "
                            f"must be at most {limit} in both",
                        )
                        break
                    if unpacking:
                        await asyncio.sleep(0)  # a small chunk may unpack to much: others get their turn
            except ClickHouseError as error:
                failure = error
        if failure is not None:
            raise failure
        if unpacking:
            unpacking.finish()
    except BaseException:
        body.close()
        raise
    return body


async def _awaited(stream: AsyncIterator[bytes], idle_s: float) -> AsyncIterator[bytes]:
    """The stream's chunks, none of which is waited for longer than `idle_s`."""
    while True:
        try:
            async with asyncio.timeout(idle_s):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise refuse(Code.SOCKET_TIMEOUT, f"The client has sent nothing of its body for {idle_s:g} s") from error
        yield chunk


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file field of a form: an external table's rows."""

    name: str
    data: bytes


def read_form(content_type: str, raw: bytes) -> tuple[dict[str, str], list[FormFile]]:
    """The plain fields and the files of a multipart/form-data body."""
    header = Message()
    header["content-type"] = content_type
    boundary: Any = header.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise refuse(Code.BAD_REQUEST_PARAMETER, f"Content-Type == {content_type!r}, must name a boundary")
    mark = b"\r\n--" + boundary.encode()
    parts = (b"\r\n" + raw).split(mark)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise refuse(Code.BAD_REQUEST_PARAMETER, "The request's form is cut off")
    fields: dict[str, str] = {}
    files: list[FormFile] = []
    for part in parts[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        name = re.search(rb'\bname="([^"]*)"', head)
        if name is None:
            raise refuse(Code.BAD_REQUEST_PARAMETER, "A field of the request's form has no name")
        try:
            if b"filename=" in head:
                files.append(FormFile(name.group(1).decode(), data))
            else:
                fields[name.group(1).decode()] = data.decode()
        except UnicodeDecodeError as error:
            raise refuse(Code.BAD_REQUEST_PARAMETER, f"A field of the request's form is not UTF-8: {error}") from None
    return fields, files
