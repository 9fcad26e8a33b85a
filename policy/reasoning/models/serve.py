"""A checkpoint folder in, an OpenAI-compatible endpoint out: transformers' own server, in the foreground."""

import logging
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from contracts.errors import BadInputError
from policy.reasoning.models.checkpoint import check_folder, read_record

log = logging.getLogger(__name__)


def serve(
    checkpoint: Path,
    *,
    host: str,
    port: int,
    device: str,
    announce: Callable[[str], None],
    patience_s: float = 600.0,
) -> None:
    """Answer POST /v1/chat/completions with the model of `checkpoint` until told to stop; port 0 takes a free one.

    `announce` is told the address once a health check is answered. Raises `BadInputError` where the folder is no
    checkpoint of the image-text-to-text class, a file is not what its record says, or the port is taken.
    """
    check_folder(checkpoint, read_record(checkpoint))
    chosen = _bound(host, port)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a path is a path: nothing is looked for elsewhere
    from transformers.cli.serve import Serve

    threading.Thread(target=_tell_ready, args=(host, chosen, announce, patience_s), daemon=True).start()
    Serve(force_model=str(checkpoint.resolve()), host=host, port=chosen, device=device)


def _bound(host: str, port: int) -> int:
    """The port, once it is known to be free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BadInputError(f"{host}:{port}: {error.strerror or error}, must be free to listen on") from error
        found: int = probe.getsockname()[1]
    return found


def _tell_ready(host: str, port: int, announce: Callable[[str], None], patience_s: float) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        try:
            with opener.open(f"http://{host}:{port}/health", timeout=2.0):
                announce(f"http://{host}:{port}/v1")
                return
        except OSError:
            time.sleep(0.1)
    log.error("ALERT no health check was answered in %g s: the endpoint on port %d does not serve", patience_s, port)
