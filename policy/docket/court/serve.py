"""Serve the court on loopback until told to stop: listen, announce, answer, let requests end."""

import signal
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from contracts.errors import BadInputError
from policy.docket.court.app import Court
from policy.docket.docket import Docket
from policy.docket.principals import Tokens

_DRAIN_S = 5
_CONNECTIONS = 200


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._announce()


def serve(
    docket: Docket,
    tokens: Tokens,
    *,
    host: str,
    port: int,
    announce: Callable[[str], None],
    taxonomy: Path | None = None,
) -> None:
    """Answer until SIGINT or SIGTERM; `announce` is called with HOST:PORT once it listens.

    `taxonomy` is the folder of the leaves that rulings may name.

    Raises `BadInputError` when the port cannot be had.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise BadInputError(f"--host {host} --port {port}: {error.strerror or error}") from error
        bound_host, bound_port = listening.getsockname()[:2]
        config = uvicorn.Config(
            Court(docket, tokens, now=lambda: datetime.now(UTC), taxonomy=taxonomy).app(),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_DRAIN_S,
            limit_concurrency=_CONNECTIONS,
        )
        server = _Server(config, lambda: announce(f"{bound_host}:{bound_port}"))

        def stop(*_: object) -> None:
            server.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        server.run(sockets=[listening])
