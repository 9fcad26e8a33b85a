"""Parts start, say they are ready, end in order, and none outlives who started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contracts.errors import DependencyError
from streams.processes import Parts, start_part
from tests.streams.watching import until

READY = "import json, sys, time; print(json.dumps({'part': 'p', 'address': 'here'}), flush=True); "


def command(then: str) -> list[str]:
    return [sys.executable, "-c", READY + then]


def gone(pid: int, *, within_s: float = 10.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_part_is_known_by_its_ready_line_and_ends_with_its_exit_code(tmp_path: Path):
    part = start_part("p", command("time.sleep(60)"), log=tmp_path / "log")

    assert part.address == "here"
    assert part.running()
    assert part.end() == -signal.SIGTERM
    assert part.end() == -signal.SIGTERM


def test_a_part_that_ends_before_it_is_ready_is_reported_with_the_end_of_its_log(tmp_path: Path):
    failing = [sys.executable, "-c", "import sys; sys.exit('the port is taken')"]
    part = start_part("p", failing, log=tmp_path / "log")

    with pytest.raises(DependencyError, match=r"p ended with code 1; .*log:\nthe port is taken"):
        _ = part.address


def test_a_part_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path):
    part = start_part(
        "p", [sys.executable, "-c", "import time; time.sleep(60)"], log=tmp_path / "log", ready_within_s=0.3
    )

    with pytest.raises(DependencyError, match="not ready in time"):
        _ = part.address
    part.end()


def test_a_part_that_does_not_want_to_end_is_killed(tmp_path: Path):
    deaf = tmp_path / "deaf"
    stubborn = command(
        f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({str(deaf)!r}, 'w'); time.sleep(60)"
    )
    part = start_part("p", stubborn, log=tmp_path / "log")
    _ = part.address
    until(deaf.exists)

    assert part.end(within_s=0.3) == -signal.SIGKILL


def test_a_killed_part_takes_with_it_what_it_started_in_sessions_of_its_own(tmp_path: Path):
    starts = command(
        "import subprocess; child = subprocess.Popen(['sleep', '60'], start_new_session=True); "
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    part = start_part("p", starts, log=tmp_path / "log")
    _ = part.address
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.01)
    part.kill()

    assert gone(int((tmp_path / "pid").read_text()))


def test_parts_end_in_the_reverse_order_however_the_block_is_left(tmp_path: Path):
    ends = (
        "import signal; note = lambda *_: (open({0!r}, 'a').write({1!r}), sys.exit()); "
        "signal.signal(signal.SIGTERM, note); open({0!r} + {1!r}, 'w'); time.sleep(60)"
    )
    with pytest.raises(KeyError), Parts() as parts:
        for name in "abc":
            parts.start(name, command(ends.format(str(tmp_path / "order"), name)), log=tmp_path / "log")
        for name in "abc":
            until((tmp_path / f"order{name}").exists)
        raise KeyError

    assert (tmp_path / "order").read_text() == "cba"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_parts_do_not_outlive_the_program_that_started_them(tmp_path: Path, number: signal.Signals):
    program = f"""
import sys, time
from pathlib import Path
from streams.processes import Parts
with Parts() as parts:
    part = parts.start("p", {command("time.sleep(60)")!r}, log=Path({str(tmp_path / "log")!r}))
    part.address
    print(part.pid, flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
        parent.send_signal(number)
        parent.wait(20)

    assert gone(child)
