"""Bodies: unpacked whatever their chunks, cut off, too large; forms taken apart."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import lz4.frame  # type: ignore[import-untyped]
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from warehouse.owner.errors import ClickHouseError
from warehouse.owner.wire.bodies import read_form, receive_body

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
}
ENCODINGS = st.sampled_from(sorted(PACKERS))


def received(raw: bytes, encoding: str, *, chunk: int = 1 << 16, limit: int = 1 << 20, folder: str = "/tmp") -> bytes:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(raw), chunk):
            yield raw[start : start + chunk]

    async def receive() -> bytes:
        with await receive_body(chunks(), encoding, limit=limit, folder=folder, idle_s=10) as body:
            whole = b"".join(body.chunks(0))
            assert body.size == len(whole)
            return whole

    return asyncio.run(receive())


@given(
    ENCODINGS.filter(lambda encoding: encoding != "br"),
    st.lists(st.binary(max_size=300), max_size=4),
    st.integers(1, 64),
)
def test_frames_are_unpacked_wherever_the_network_cuts_them(encoding: str, frames: list[bytes], chunk: int) -> None:
    packed = b"".join(PACKERS[encoding](frame) for frame in frames)
    assert received(packed, encoding, chunk=chunk) == b"".join(frames)


@given(st.binary(max_size=300), st.integers(1, 64))
def test_brotli_has_one_frame(raw: bytes, chunk: int) -> None:
    assert received(brotli.compress(raw), "br", chunk=chunk) == raw


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip", "br", "deflate"])
def test_a_body_cut_off_inside_a_frame_is_refused(encoding: str) -> None:
    packed = PACKERS[encoding](bytes(range(256)) * 10)
    with pytest.raises(ClickHouseError, match="cut off") as refused:
        received(packed[:-5], encoding)
    assert (refused.value.code, refused.value.status) == (271, 400)


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip", "br", "deflate"])
def test_what_is_not_compressed_as_said_is_refused(encoding: str) -> None:
    with pytest.raises(ClickHouseError, match="Cannot decompress"):
        received(b"INSERT INTO t VALUES (1)" * 9, encoding)


@pytest.mark.parametrize("encoding", ["identity", "lz4", "zstd", "gzip", "br", "deflate"])
def test_a_body_too_large_is_refused_though_it_came_packed_small(encoding: str) -> None:
    packed = PACKERS[encoding](bytes(50_000_000))
    with pytest.raises(ClickHouseError, match="unpacked, must be at most 1048576 in both") as refused:
        received(packed, encoding)
    assert (refused.value.code, refused.value.status) == (307, 413)


def test_an_unknown_encoding_is_refused_before_the_body_is_read() -> None:
    with pytest.raises(ClickHouseError, match="Content-Encoding == 'rot13'") as refused:
        received(b"x", "rot13")
    assert refused.value.code == 89


def test_a_large_body_waits_in_the_folder(tmp_path: Path) -> None:
    raw = bytes(20_000_000)
    assert received(raw, "identity", limit=1 << 25, folder=str(tmp_path)) == raw
    assert list(tmp_path.iterdir()) == []


def test_a_form_has_fields_and_files() -> None:
    raw = (
        b'--b\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT 1\r\n'
        b'--b\r\nContent-Disposition: form-data; name="wanted"; filename="wanted.tsv"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\x00\r\n\xff\r\n--b--\r\n"
    )
    fields, files = read_form('multipart/form-data; boundary="b"', raw)
    assert fields == {"query": "SELECT 1"}
    assert [(file.name, file.data) for file in files] == [("wanted", b"\x00\r\n\xff")]


@pytest.mark.parametrize(
    ("content_type", "raw"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="q"\r\n\r\nSEL'),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--"),
    ],
)
def test_a_broken_form_is_refused(content_type: str, raw: bytes) -> None:
    with pytest.raises(ClickHouseError) as refused:
        read_form(content_type, raw)
    assert refused.value.status == 400
