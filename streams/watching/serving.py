"""A part's registry, progress and readiness in; /metrics, /live and /ready for those who watch it out."""

import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from contracts.errors import BadInputError

LOOPBACK = "127.0.0.1"
IMPATIENT_S = 10.0
"""How long a connection may say nothing: a thread waits for each."""


class Liveness(Protocol):
    """Whether there is progress, and for how long there was none."""

    @property
    def alive(self) -> bool: ...
    @property
    def idle_s(self) -> float: ...


class Lacking(Protocol):
    """Why a part is not to be counted on now; empty when it is."""

    @property
    def lacks(self) -> str: ...


class Observed(Protocol):
    """What a part shows of itself."""

    @property
    def registry(self) -> CollectorRegistry: ...
    @property
    def progress(self) -> Liveness: ...
    @property
    def readiness(self) -> Lacking: ...


class MetricsServer(ThreadingHTTPServer):
    """Answers watchers from daemon threads until it is closed."""

    daemon_threads = True

    def __init__(self, metrics: Observed, host: str, port: int) -> None:
        self.metrics = metrics
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    @property
    def address(self) -> str:
        """HOST:PORT where it listens."""
        host, port = self.server_address[:2]
        return f"[{host!s}]:{port}" if self.address_family is socket.AF_INET6 else f"{host!s}:{port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a watcher that went away amid its answer; anything else is a fault of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        """Stop answering and give the port back."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = IMPATIENT_S

    def do_GET(self) -> None:
        status, kind, body = _answer(self.server.metrics, self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a scrape is not news."""


def _answer(metrics: Observed, path: str) -> tuple[int, str, bytes]:
    """Status, content type and body of what is asked for."""
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest(metrics.registry)
    if path == "/live":
        alive = metrics.progress.alive
        return 200 if alive else 503, "text/plain", f"no progress for {metrics.progress.idle_s:.1f} s\n".encode()
    if path == "/ready":
        lacks = metrics.readiness.lacks
        return 503 if lacks else 200, "text/plain", f"{lacks or 'ready'}\n".encode()
    return 404, "text/plain", b"only /metrics, /live and /ready\n"


def serve_metrics(metrics: Observed, *, host: str = LOOPBACK, port: int = 0) -> MetricsServer:
    """Serve /metrics, /live (200 while there is progress, else 503) and /ready (200 or 503, with the reason).

    Raises `BadInputError` when the address cannot be listened on.
    """
    try:
        server = MetricsServer(metrics, host, port)
    except OSError as error:
        where = f"--metrics-port {port}" if host == LOOPBACK else f"--metrics-host {host} --metrics-port {port}"
        raise BadInputError(f"{where}: {error.strerror}") from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
