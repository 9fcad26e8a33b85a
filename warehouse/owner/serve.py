"""Serve one chDB folder on loopback until told to stop: claim, listen, announce, answer, drain, close.

A stop refuses new statements, cancels reads at once, lets inserts end for some seconds and cancels what is left:
each client has its rows, an acknowledgement or an error, and the process ends within a bounded time.
"""

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio.to_thread
import uvicorn

from contracts.errors import BadInputError
from warehouse.owner.app import Front, Limits
from warehouse.owner.engine import Engine
from warehouse.owner.memory import Memory, memory_of_machine
from warehouse.owner.wire.requests import Credentials

_log = logging.getLogger(__name__)
# All within the ten seconds after which supervisors kill.
_INSERTS_END_S = 5.0
_DRAIN_S = 7
_LAST_S = 9.5


@dataclass(frozen=True, slots=True)
class OwnerConfig:
    """Where an embedded warehouse lives, listens, and whom it lets in."""

    path: Path
    credentials: Credentials
    host: str = "127.0.0.1"
    port: int = 0
    database: str = "precedent"
    limits: Limits = Limits()
    memory: Memory = field(default_factory=memory_of_machine)


class _Server(uvicorn.Server):
    """Says when it listens; ends running statements when it must stop."""

    def __init__(self, config: uvicorn.Config, engine: Engine, front: Front, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._engine = engine
        self._front = front
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _end_at_last()
        self._front.close()
        cancelling = asyncio.create_task(self._cancel_statements())
        await super().shutdown(sockets)
        cancelling.cancel()

    async def _cancel_statements(self) -> None:
        """Reads at once, again while some still begin; whatever is left, when inserts have had their time."""
        deadline = asyncio.get_running_loop().time() + _INSERTS_END_S
        while True:
            have_time = asyncio.get_running_loop().time() < deadline
            await anyio.to_thread.run_sync(partial(self._engine.kill_all, but_inserts=have_time))
            await asyncio.sleep(0.5)


def _end_at_last() -> None:
    """End the process if the engine does not let it: what was acknowledged is on disk, as after a kill."""

    def end() -> None:
        _log.warning("a statement did not end within %g s of being cancelled, the process ends without it", _LAST_S)
        os._exit(0)

    last = threading.Timer(_LAST_S, end)
    last.daemon = True
    last.start()


def serve(config: OwnerConfig, announce: Callable[[str, int], None]) -> None:
    """Own `config.path` and answer until SIGINT or SIGTERM; `announce(host, port)` is called once it listens.

    Raises `BadInputError` when the folder cannot be owned or the port not be had.
    """
    listening = _listen(config.host, config.port)
    with listening:
        host, port = listening.getsockname()[:2]
        engine = Engine(config.path, config.memory)
        try:
            engine.create_database(config.database)
            front = Front(engine, config.credentials, config.limits)
            server = _Server(
                uvicorn.Config(
                    front.app(),
                    log_config=None,
                    access_log=False,
                    lifespan="off",
                    timeout_keep_alive=75,
                    timeout_graceful_shutdown=_DRAIN_S,
                    limit_concurrency=config.limits.connections,
                    backlog=config.limits.connections,
                ),
                engine,
                front,
                lambda: announce(host, port),
            )
            _stop_on_signals(server)
            server.run(sockets=[listening])
        finally:
            engine.close()


def _stop_on_signals(server: uvicorn.Server) -> None:
    """Uvicorn raises each caught signal again once it has stopped: these handlers make that a clean end."""

    def stop(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise BadInputError(f"--host {host} --port {port}: {error.strerror or error}") from error
    return listening
