"""One Redis server on loopback that keeps every write it has answered: start it, say when it answers, end it.

`appendfsync always`: a write is on the disk before it is answered, so that a killed server has every feature that was
announced. The commands of one batch of features share one sync.
"""

import argparse
import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from serving.ports import free_port
from serving.stopping import stop_on_signals
from streams.processes import end_with_parent

HERE = Path(__file__).resolve().parent
DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction")
STARTS_WITHIN_S = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="deploy/redis/run",
        description="Run a local real Redis on loopback, durable, until SIGINT or SIGTERM.",
        epilog="example: deploy/redis/run --port 6379",
    )
    parser.add_argument("--port", type=int, default=6379, help="0 chooses a free one (default 6379)")
    parser.add_argument(
        "--state-dir", type=Path, default=HERE.parents[1] / ".state" / "redis", help="default .state/redis"
    )
    options = parser.parse_args()
    if (binary := shutil.which("redis-server")) is None:
        sys.stderr.write("redis: redis-server is not on PATH (Debian: install redis-server)\n")
        return 2
    return _run(binary, options.port or free_port(), options.state_dir)


def _run(binary: str, port: int, state: Path) -> int:
    stop = stop_on_signals()
    state.mkdir(parents=True, exist_ok=True)
    listens = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(state))
    server = subprocess.Popen(
        [*end_with_parent(), binary, *listens, *DURABLE], stdout=sys.stderr, start_new_session=True
    )
    try:
        until = time.monotonic() + STARTS_WITHIN_S
        while not stop.is_set() and server.poll() is None and not _answers(port) and time.monotonic() < until:
            stop.wait(0.02)
        if server.poll() is None and not stop.is_set():
            sys.stdout.write(json.dumps({"part": "redis", "address": f"127.0.0.1:{port}", "pid": server.pid}) + "\n")
            sys.stdout.flush()
        while server.poll() is None and not stop.is_set():
            stop.wait(0.2)
    finally:
        if server.poll() is None:
            server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    if not stop.is_set():
        sys.stderr.write(
            f"redis: the server ended by itself with exit code {server.returncode}, its messages are above\n"
        )
        return 2
    return 0


def _answers(port: int) -> bool:
    """Whether the server has read its file and answers; while it reads, it says LOADING."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as probe:
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith(b"+PONG")
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
