"""What a process holds, read again and again -> how it grows: resident memory and open files."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Growth:
    """Of a process: MB resident halfway and at the end, the slope between, open files when warm and at the end."""

    what: str
    halfway_mb: float
    end_mb: float
    mb_per_1000: float
    files_before: int
    files_after: int

    @property
    def leaks(self) -> bool:
        """Whether it holds more open files, or clearly more memory than halfway; allocators breathe by some MB."""
        return self.files_after > self.files_before + 2 or self.end_mb > 1.15 * self.halfway_mb + 32

    def __str__(self) -> str:
        files = f"open files {self.files_before} -> {self.files_after}"
        return (
            f"{self.what}: {self.halfway_mb:.0f} MB halfway, {self.end_mb:.0f} MB at the end "
            f"({self.mb_per_1000:+.2f} MB per 1,000), {files}"
        )


@dataclass(slots=True)
class Watch:
    """Readings of one process, by how many were sent when they were taken; the process may be replaced meanwhile."""

    what: str
    readings: list[tuple[int, int, float, int]] = field(default_factory=list)

    def read(self, pid: int, sent: int) -> None:
        """Take a reading; a process that has just ended gives none."""
        try:
            resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6
            files = len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            return
        self.readings.append((pid, sent, resident, files))

    def growth(self) -> dict[str, Any]:
        """Of the process that was read last, over the second half of its readings."""
        mine = [reading for reading in self.readings if reading[0] == self.readings[-1][0]]
        half = mine[len(mine) // 2 :]
        slope = 0.0
        if len(half) > 2:
            sent, resident = np.array([r[1] for r in half]) / 1_000, np.array([r[2] for r in half])
            slope = float(np.polyfit(sent, resident, 1)[0])
        return asdict(Growth(self.what, half[0][2], half[-1][2], slope, half[0][3], half[-1][3]))
