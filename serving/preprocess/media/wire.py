"""What `DecodePool` and its worker processes say to each other: settings, requests, replies, shared memory.

A request is a slot number and the address; a reply is the slot, a kind, a count of frames, and the words of a
refusal. Frames lie in the slot's part of the shared memory; a byte per slot behind them says that the pool gave
the task to another worker meanwhile. What a worker says is read as somebody else's word: it may have been taken over
by the file that it decodes.
"""

import json
import struct
from dataclasses import asdict, dataclass

from serving.preprocess.media.refusals import MediaReason

REQUEST = struct.Struct("<H")
REPLY = struct.Struct("<HBH")
READY, FRAMES, REFUSED, STORE_AWAY, MOVED = range(5)
MESSAGE_BYTES = 64 << 10
OUT_OF_MEMORY = 66
FORSAKEN = 67
ROOTS_CHANGED = 68


class GarbledReplyError(ValueError):
    """A worker says what no sound worker would say: end it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: the slot, what kind it is, how many frames lie in the slot, and the words of a refusal."""

    slot: int
    kind: int
    count: int
    words: tuple[str, ...]

    @classmethod
    def read(cls, reply: bytes) -> "Reply":
        """Of the bytes of a message; raises `GarbledReplyError`."""
        try:
            slot, kind, count = REPLY.unpack_from(reply)
            words = tuple(reply[REPLY.size :].decode().split("\0", 1))
            if kind == REFUSED:
                MediaReason(words[0])
        except (struct.error, ValueError) as error:
            raise GarbledReplyError(f"{reply[:16]!r}: {error}") from error
        if not READY <= kind <= MOVED or len(words) != {READY: len(words), REFUSED: 2}.get(kind, 1):
            raise GarbledReplyError(f"{reply[:16]!r}: is no reply")
        return cls(slot, kind, count, words)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is told at its start; the file descriptors are inherited."""

    socket_fd: int
    memory_fd: int
    parent_pid: int
    roots: tuple[str, ...]
    n_frames: int
    frame_px: int
    slots: int
    kill_after_cpu_s: float
    limits: dict[str, float]

    @property
    def slot_bytes(self) -> int:
        return self.n_frames * self.frame_px * self.frame_px * 3

    @property
    def memory_bytes(self) -> int:
        return self.slots * (self.slot_bytes + 1)

    def moved_at(self, slot: int) -> int:
        """Where the byte lies that says a slot's task was moved."""
        return self.slots * self.slot_bytes + slot

    def to_argument(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, argument: str) -> "WorkerSettings":
        fields = json.loads(argument)
        return cls(**{**fields, "roots": tuple(fields["roots"])})
