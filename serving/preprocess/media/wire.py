"""What `DecodePool` and its worker processes say to each other: settings, requests, replies, shared memory.

A request is a slot number and the address; a reply is the slot, a kind, a count of frames, and the words of a
refusal. Frames lie in the slot's part of the shared memory; a byte per slot behind them says that the pool gave
the task to another worker meanwhile.
"""

import json
import struct
from dataclasses import asdict, dataclass

REQUEST = struct.Struct("<H")
REPLY = struct.Struct("<HBH")
READY, FRAMES, REFUSED, STORE_AWAY, MOVED = range(5)
MESSAGE_BYTES = 64 << 10
OUT_OF_MEMORY = 66
FORSAKEN = 67


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
