"""Replies packed as their client asks, block by block."""

import gzip
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import lz4.frame  # type: ignore[import-untyped]
import pytest
from backports import zstd

from warehouse.owner.wire.packing import Packing, packing_asked

UNPACKERS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.decompress,
    "zstd": zstd.decompress,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "br": brotli.decompress,
}


@pytest.mark.parametrize("encoding", sorted(UNPACKERS))
@pytest.mark.parametrize("blocks", [[], [b"one"], [b"one", b"", bytes(100_000), b"two"]])
def test_a_reply_unpacks_to_its_blocks(encoding: str, blocks: list[bytes]) -> None:
    packing = Packing(encoding)
    packed = b"".join(packing.feed(block) for block in blocks) + packing.finish()
    assert UNPACKERS[encoding](packed) == b"".join(blocks)


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("lz4,zstd,br,gzip,deflate", "lz4"),
        ("gzip;q=0, zstd;q=0.5, br", "zstd"),
        ("GZIP", "gzip"),
        ("snappy, identity", None),
        ("", None),
    ],
)
def test_the_client_s_first_known_encoding_is_taken(accepted: str, encoding: str | None) -> None:
    packing = packing_asked({"accept-encoding": accepted}, {})
    assert (packing.encoding if packing else None) == encoding


def test_a_client_may_forbid_packing_by_setting() -> None:
    assert packing_asked({"accept-encoding": "gzip"}, {"enable_http_compression": "0"}) is None
