"""Free ports: different ones, each to be listened on."""

import socket
from contextlib import ExitStack

from serving.ports import free_port, free_ports


def test_free_ports_are_different_and_can_all_be_listened_on() -> None:
    ports = [*free_ports(20), free_port()]
    assert len(set(ports[:20])) == 20
    with ExitStack() as held:
        for port in set(ports):
            held.enter_context(socket.create_server(("127.0.0.1", port)))
