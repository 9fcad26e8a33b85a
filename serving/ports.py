"""TCP ports of loopback that nobody listens on now, for servers that must be told theirs before they start."""

import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """So many different ports; another program may take one before it is used."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def free_port() -> int:
    """One such port."""
    (port,) = free_ports(1)
    return port
