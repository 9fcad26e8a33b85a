"""Divide a machine's memory: what the engine may allocate for all queries, for one of them, and for its caches."""

from dataclasses import dataclass
from pathlib import Path

_SHARE_OF_MACHINE = 0.4
"""The warehouse stands beside workers, Triton and an analyst's own process."""
SMALLEST_BYTES = 256 << 20
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True, slots=True)
class Memory:
    """The engine's memory: a query over its share fails with MEMORY_LIMIT_EXCEEDED, and so does one over the whole."""

    total_bytes: int

    @property
    def query_bytes(self) -> int:
        """What one query may take unless it asks for more: two thirds, so that one cannot starve all others."""
        return self.total_bytes * 2 // 3

    @property
    def cache_bytes(self) -> int:
        return self.total_bytes // 10

    @property
    def merge_bytes(self) -> int:
        """Above this, no further background merge begins."""
        return self.total_bytes // 2


def memory_of_machine() -> Memory:
    """Two fifths of the memory that this process may have: 9.6 GB of 24 GB, 1.6 GB of 4 GB, never under 256 MiB."""
    return Memory(max(SMALLEST_BYTES, int(_bytes_of_machine() * _SHARE_OF_MACHINE)))


def _bytes_of_machine() -> int:
    """The machine's memory, or what its container may have of it."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    physical = int(fields["MemTotal"].split()[0]) << 10
    limits = (path.read_text(encoding="ascii").strip() for path in _CGROUP_LIMITS if path.exists())
    return min([physical, *(int(limit) for limit in limits if limit.isdigit())])
