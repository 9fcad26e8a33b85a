"""Every part of a running system listens on loopback alone, and was told no secret in its arguments."""

import ast
import contextlib
import importlib
import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bench.stand_in import point_to, random_casebook, write_release
from cli import COMMANDS
from streams.stack import Stack, embedded_stack
from warehouse.address import parse_address

ROOT = Path(__file__).parents[2]
LISTENING, BOUND = "0A", "07"
"""States in /proc/net: a TCP socket that listens, a UDP socket that is bound."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("listeners")
    point_to(folder / "releases", write_release(folder / "releases", 1, random_casebook(20)))
    with embedded_stack(
        folder / "state",
        folder / "releases",
        workers=1,
        media_roots=(folder,),
        docket=folder / "docket",
        court_options=("--port", "0"),
    ) as running:
        yield running


def tree(pid: int) -> list[int]:
    """A process and all under it; what ends meanwhile is left out."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(one for child in children for one in tree(child))]


def sockets_of(pid: int) -> set[str]:
    """The inodes of a process's sockets."""
    inodes = set()
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            link = os.readlink(f"/proc/{pid}/fd/{number}")
            inodes |= {link[len("socket:[") : -1]} if link.startswith("socket:[") else set()
    return inodes


def listened_on() -> Iterator[tuple[str, str, int]]:
    """Inode, address and port of every socket of this machine that waits for others."""
    for name, state in (("tcp", LISTENING), ("tcp6", LISTENING), ("udp", BOUND), ("udp6", BOUND)):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == state:
                address, _, port = fields[1].partition(":")
                yield fields[9], _written(address), int(port, 16)


def _written(address: str) -> str:
    """An address of /proc/net, whose four-byte words are in the machine's order, as it is usually written."""
    raw = b"".join(bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8))
    written = ipaddress.ip_address(raw)
    return str(getattr(written, "ipv4_mapped", None) or written)


def test_every_part_listens_on_loopback_alone(stack: Stack) -> None:
    everywhere = list(listened_on())
    found = {}
    for part in stack.parts:
        inodes = {inode for pid in tree(part.pid) for inode in sockets_of(pid)}
        found[part.name] = {(address, port) for inode, address, port in everywhere if inode in inodes}
    assert len(found) == 9, found.keys()
    for name, places in found.items():
        assert all(ipaddress.ip_address(address).is_loopback for address, _ in places), (name, places)
    for name in ("broker", "triton", "features", "warehouse", "worker-1", "court"):
        assert int(stack.part(name).address.rpartition(":")[2]) in {port for _, port in found[name]}, name
    assert len(found["triton"]) >= 3  # gRPC, HTTP, metrics


def test_a_listener_on_every_interface_would_be_found() -> None:
    with socket.create_server(("0.0.0.0", 0)) as everyone, socket.create_server(("127.0.0.1", 0)) as here:
        mine = sockets_of(os.getpid())
        seen = {(address, port) for inode, address, port in listened_on() if inode in mine}
        assert ("0.0.0.0", everyone.getsockname()[1]) in seen
        assert ("127.0.0.1", here.getsockname()[1]) in seen


def test_no_process_was_told_a_secret_in_its_arguments(stack: Stack) -> None:
    password = parse_address(stack.warehouse or "").password
    assert len(password) > 10
    told = [Path(f"/proc/{pid}/cmdline").read_bytes() for part in stack.parts for pid in tree(part.pid)]
    assert len(told) >= 9
    assert not [line for line in told if password.encode() in line]
    for log in (stack.state / "logs").iterdir():
        assert password not in log.read_text(errors="replace"), log


def test_every_command_that_listens_does_so_on_loopback_unless_told_otherwise() -> None:
    hosts = {}
    for name, place in COMMANDS.items():
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
        for one in commands:
            hosts[name, one.name] = next((option.default for option in one.params if option.name == "host"), None)
    assert [host for host in hosts.values() if host is not None].count("127.0.0.1") >= 2
    assert set(hosts.values()) == {None, "127.0.0.1"}


def test_no_line_of_the_project_binds_to_every_interface() -> None:
    rooms = ("contracts", "serving", "features", "warehouse", "policy", "streams", "ab_tests", "dags", "simulation")
    found = [
        (str(file.relative_to(ROOT)), node.lineno)
        for file in (file for room in rooms for file in (ROOT / room).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in {"0.0.0.0", "::"}
    ]
    assert found == []
