"""A part's registry and progress in, /metrics and /live for those who watch it out."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from contracts.errors import BadInputError


class Liveness(Protocol):
    """Whether there is progress, and for how long there was none."""

    @property
    def alive(self) -> bool: ...
    @property
    def idle_s(self) -> float: ...


class Observed(Protocol):
    """What a part shows of itself."""

    @property
    def registry(self) -> CollectorRegistry: ...
    @property
    def progress(self) -> Liveness: ...


def serve_metrics(metrics: Observed, *, host: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """Serve /metrics, and /live (200 while there is progress, else 503), from a daemon thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/live":
                status = 200 if metrics.progress.alive else 503
                body, kind = f"no progress for {metrics.progress.idle_s:.1f} s\n".encode(), "text/plain"
            elif self.path == "/metrics":
                status, body, kind = 200, generate_latest(metrics.registry), CONTENT_TYPE_LATEST
            else:
                status, body, kind = 404, b"only /metrics and /live\n", "text/plain"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: a scrape is not news."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise BadInputError(f"--metrics-port {port}: {error.strerror}") from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
