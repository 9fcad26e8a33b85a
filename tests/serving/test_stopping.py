"""A signal that comes in the middle of a wait ends it, however often it comes."""

import os
import signal
import subprocess
import sys
import time

from serving.stopping import Stop

WAITS = """
from serving.stopping import stop_on_signals
stop = stop_on_signals()
print("ready", flush=True)
while not stop.wait(0.0001):
    pass
"""


def test_a_process_that_waits_in_short_turns_ends_by_the_first_of_many_signals() -> None:
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            for _ in range(20):
                if process.poll() is None:
                    os.kill(process.pid, signal.SIGTERM)
            assert process.wait(20) in {0, -signal.SIGTERM}  # the last ones may come after the handler went


def test_what_was_set_stays_set() -> None:
    stop = Stop()
    assert not stop.wait(0.0)
    for _ in range(100_000):  # more than a pipe holds
        stop.set()
    began = time.monotonic()
    assert stop.wait(20.0)
    assert stop.wait(20.0)
    assert time.monotonic() - began < 20.0
