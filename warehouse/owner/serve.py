"""Serve one chDB folder on loopback until told to stop: claim, listen, announce, answer, close."""

import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from contracts.errors import BadInputError
from warehouse.owner.app import Front, Limits
from warehouse.owner.engine import Engine
from warehouse.owner.requests import Credentials

_DRAIN_S = 10


@dataclass(frozen=True, slots=True)
class OwnerConfig:
    """Where an embedded warehouse lives, listens, and whom it lets in."""

    path: Path
    credentials: Credentials
    host: str = "127.0.0.1"
    port: int = 0
    database: str = "precedent"
    limits: Limits = Limits()


class _Server(uvicorn.Server):
    """Says when it listens; cancels running queries when it must stop."""

    def __init__(self, config: uvicorn.Config, engine: Engine, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._engine = engine
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._engine.kill_reads()
        await super().shutdown(sockets)


def serve(config: OwnerConfig, announce: Callable[[str, int], None]) -> None:
    """Own `config.path` and answer until SIGINT or SIGTERM; `announce(host, port)` is called once it listens.

    Raises `BadInputError` when the folder cannot be owned or the port not be had.
    """
    listening = _listen(config.host, config.port)
    with listening:
        host, port = listening.getsockname()[:2]
        engine = Engine(config.path)
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
                ),
                engine,
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
