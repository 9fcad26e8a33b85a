"""Pack a reply as its client asks: lz4, zstd, gzip, br or deflate, block by block."""

import zlib
from collections.abc import Mapping
from typing import Any

# A server's level for gzip and zstd; on one machine even these cost more than the wire.
_LEVEL = 3
_SMALLEST_BYTES = 1 << 10


class Packing:
    """Compress one reply; `finish` gives what ends it."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self._codec, self._begin = _new_compressor(encoding)

    def feed(self, block: bytes) -> bytes:
        begin, self._begin = self._begin, b""
        packed: bytes = self._codec.process(block) if self.encoding == "br" else self._codec.compress(block)
        return begin + packed

    def finish(self) -> bytes:
        begin, self._begin = self._begin, b""
        ended: bytes = self._codec.finish() if self.encoding == "br" else self._codec.flush()
        return begin + ended


def _new_compressor(encoding: str) -> tuple[Any, bytes]:
    """A codec's own object, and the bytes that begin its output."""
    if encoding == "lz4":
        from lz4.frame import LZ4FrameCompressor  # type: ignore[import-untyped]

        compressor = LZ4FrameCompressor()
        return compressor, compressor.begin()
    if encoding == "zstd":
        from backports.zstd import ZstdCompressor

        return ZstdCompressor(level=_LEVEL), b""
    if encoding == "br":
        import brotli  # type: ignore[import-untyped]

        return brotli.Compressor(quality=_LEVEL), b""
    window_bits = zlib.MAX_WBITS | 16 if encoding == "gzip" else zlib.MAX_WBITS
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, window_bits), b""


_ENCODINGS = frozenset({"lz4", "zstd", "gzip", "br", "deflate"})


def packing_asked(headers: Mapping[str, str], settings: Mapping[str, str]) -> Packing | None:
    """The first encoding of Accept-Encoding that is known here; none without it or with enable_http_compression=0."""
    if settings.get("enable_http_compression", "1") not in {"1", "true"}:
        return None
    for asked in headers.get("accept-encoding", "").lower().split(","):
        name, _, quality = asked.partition(";")
        if name.strip() in _ENCODINGS and quality.replace(" ", "") not in {"q=0", "q=0.0"}:
            return Packing(name.strip())
    return None


def is_worth_packing(size: int) -> bool:
    """Whether a whole reply of `size` bytes gains by it."""
    return size >= _SMALLEST_BYTES
