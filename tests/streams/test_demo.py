"""The demo as a newcomer starts it: it ends with figures and a page, and leaves nothing running, however it ends."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def start_demo(out: Path, *, train: int = 300, uploads: int = 30) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "cli", "demo", "--out", str(out), "--train", str(train), "--uploads", str(uploads)]
    command += ["--viewers", "1000", "--days", "7", "--golden", "300"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def processes_of(out: Path) -> list[str]:
    """Processes that were started with a path under `out` in their environment."""
    mark, found = str(out).encode(), []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environ.read_bytes() and int(environ.parent.name) != os.getpid():
                found.append((environ.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "demo"


def test_the_demo_ends_with_figures_and_a_page_that_needs_nothing_else(out: Path) -> None:
    demo = start_demo(out)
    printed, progress = demo.communicate(timeout=900)
    assert demo.returncode == 0, progress
    assert re.search(r"processed +30 of 30 uploads, 0 dead letters", printed)
    assert re.search(r"stored +30 fresh in Feast, 30 in the warehouse", printed)
    assert "agreement" in printed
    assert "before -> after" in printed
    assert re.search(r"trend +fruit_cups \(prohibited_goods\)", printed)
    assert re.search(r"reports +200 in 3,840 impressions opened \d+ cases; [1-9]\d* rulings", printed)
    assert re.search(r"precedents +in force \d+\.\d s after the last ruling, nothing restarted", printed)
    assert re.search(r"by precedents, nothing trained +found +\d+ of 24, .* [1-9]\d* cite a ruling on it", printed)
    assert re.search(r"refresh +collect: [1-9]\d* new rulings", printed)
    assert re.search(r"gate: (passed|refused: )", printed)
    assert re.search(r"exposure +day +impressions", printed)
    assert re.search(r"experiment +\S+, 20\d\d-\d\d-\d\d to 20\d\d-\d\d-\d\d: \d+,\d+ impressions, ", printed)
    assert re.search(
        r"^headline +learning-policy.*; truth [+-]\d+\.\d%; violative impressions \d", printed, re.MULTILINE
    )
    for name in ("report.html", "experiment.html"):
        page = (out / name).read_text(encoding="utf-8")
        assert not re.search(r"(src|href)\s*=\s*\"(?!data:|#|experiment\.html)", page)
        assert "<script" not in page
    assert processes_of(out) == []


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C reaches what is started, though a shell that runs the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_in_the_middle_leaves_no_process_behind(out: Path) -> None:
    demo = start_demo(out, train=100, uploads=10)
    assert demo.stderr is not None
    for line in demo.stderr:
        if line.startswith("... start broker"):
            break
    until = time.monotonic() + 60
    while not processes_of(out) and time.monotonic() < until:
        time.sleep(0.2)
    assert processes_of(out), "the parts are starting"
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=60)
    assert demo.returncode != 0
    until = time.monotonic() + 60  # one that was just being started ends by the kernel's signal, after the demo
    while processes_of(out) and time.monotonic() < until:
        time.sleep(0.2)
    assert processes_of(out) == []
