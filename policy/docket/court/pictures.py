"""A frame in, a PNG of it out (PNG specification, third edition: 8 bits a channel, RGB, no filter)."""

import struct
import zlib

import numpy as np
import numpy.typing as npt


def png(frame_H_W_C: npt.NDArray[np.uint8]) -> bytes:
    """The PNG of a uint8 frame [H, W, 3]."""
    height, width, _ = frame_H_W_C.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row begins with its filter, 0
    rows[:, 1:] = frame_H_W_C.reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
