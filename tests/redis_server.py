"""A Redis of the tests' own: `redis-server` on a free loopback port, ended by its process id."""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from serving.ports import free_port

needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")


class RedisServer:
    """One server that keeps nothing on disk; it may be frozen, killed, and started again at its port, empty."""

    def __init__(self, folder: Path, *options: str, scheme: str = "redis", login: str = "") -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.skip("redis-server is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"{scheme}://{login}127.0.0.1:{self.port}"
        listens = ["--tls-port", str(self.port), "--port", "0"] if scheme == "rediss" else ["--port", str(self.port)]
        kept = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
        self._command = [binary, *listens, *kept, *options]
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return process
            time.sleep(0.02)
        process.kill()
        process.wait()
        pytest.fail(f"redis-server does not listen on port {self.port}")

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)

    def start_again(self) -> None:
        """Start at the same port; what it held is gone."""
        self.process = self._start()

    def __enter__(self) -> "RedisServer":
        return self

    def __exit__(self, *_: Any) -> None:
        if self.process.poll() is None:
            self.thaw()
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()
