"""A bench's figures in, a record out that says when, on what machine and with which versions they were printed."""

import json
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

OUT = Path(".state/bench")
KEPT = Path(__file__).resolve().parent / "results"
_PACKAGES = (
    "aiokafka",
    "chdb",
    "confluent-kafka",
    "faust-streaming",
    "feast",
    "nvidia-pytriton",
    "onnxruntime-gpu",
    "polars",
    "pydantic",
    "redis",
    "torch",
)


def record(name: str, figures: dict[str, Any], *, took_s: float, keep: bool) -> Path:
    """Write a bench's figures under .state/bench, and with `keep` into bench/results too; returns where it was kept."""
    written = {
        "bench": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "versions": _versions(),
        "took_s": round(took_s, 1),
        "figures": figures,
    }
    text = json.dumps(written, indent=2, default=float) + "\n"
    for folder in (OUT, KEPT) if keep else (OUT,):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    return (KEPT if keep else OUT) / f"{name}.json"


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": platform.system(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _versions() -> dict[str, str]:
    commit = _first_line("git", "rev-parse", "--short", "HEAD")
    others = {"redis-server": _first_line("redis-server", "--version"), "java": _first_line("java", "--version")}
    return {
        "precedent": commit,
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        **{name: line for name, line in others.items() if line},
    }


def _first_line(*command: str) -> str:
    """What a command says first; nothing where there is no such command."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    return (done.stdout.splitlines() or [""])[0].strip()
