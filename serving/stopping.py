"""A signal in, a wait that ends out: what a process in the foreground waits by."""

import os
import select
import signal
from contextlib import suppress


class Stop:
    """Set by a signal's handler or by a thread, waited for by the main thread.

    `threading.Event` is no good for it: its handler may interrupt the very wait that holds the event's lock, and then
    waits for that lock for ever.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        for end in (self._read, self._write):
            os.set_blocking(end, False)

    def set(self) -> None:
        """Let every wait end, those to come too."""
        with suppress(BlockingIOError):
            os.write(self._write, b".")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for it, at most so many seconds; whether it was set."""
        return bool(select.select([self._read], [], [], timeout_s)[0])

    def is_set(self) -> bool:
        return self.wait(0.0)


def stop_on_signals() -> Stop:
    """One that SIGINT and SIGTERM set."""
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
