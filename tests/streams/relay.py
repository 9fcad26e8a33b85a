"""A port that stays while what is behind it goes and another comes: TCP passed on to wherever `to` says."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Relay:
    """Passes connections to its port on; nowhere while `to` is nothing."""

    def __init__(self) -> None:
        self.to: str | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                inner, _ = self._listener.accept()
                self._open.append(inner)
                try:
                    host, _, port = (self.to or "127.0.0.1:0").rpartition(":")
                    outer = socket.create_connection((host, int(port)))
                except OSError:
                    inner.close()
                    continue
                self._open.append(outer)
                for one, other in ((inner, outer), (outer, inner)):
                    threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for end in self._open:
            end.close()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while some := one.recv(1 << 16):
            other.sendall(some)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def relay() -> Iterator[Relay]:
    opened = Relay()
    try:
        yield opened
    finally:
        opened.close()
