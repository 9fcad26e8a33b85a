"""Start `precedent warehouse` as a user does, and speak plain HTTP to it."""

import http.client
import json
import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from warehouse.address import WarehouseAddress, parse_address


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        return self.headers.get("x-clickhouse-exception-code")


@dataclass(frozen=True)
class Owner:
    process: "subprocess.Popen[str]"
    ready: dict[str, Any]
    address: WarehouseAddress

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    def send(
        self,
        body: bytes | Iterator[bytes] = b"",
        *,
        method: str = "POST",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        **url: str,
    ) -> Reply:
        """One request with the right credentials, unless `headers` has others."""
        token = b64encode(f"{self.address.user}:{self.address.password}".encode()).decode()
        sent = {"Authorization": f"Basic {token}"} if headers is None else dict(headers)
        connection = http.client.HTTPConnection(self.address.host, self.address.port, timeout=30)
        try:
            connection.request(method, f"{path}?{urlencode(url)}" if url else path, body, sent)
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()


def start_owner(path: Path, log: Path, *arguments: str, **environment: str) -> Owner:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PRECEDENT_")}
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "warehouse", "--path", str(path), *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**inherited, **environment},
            cwd=Path(__file__).parents[2],
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait(30)
        raise AssertionError(log.read_text())
    ready = json.loads(line)
    given = environment.get("PRECEDENT_WAREHOUSE")
    url = ready["url"] if given is None else ready["url"].replace("***", parse_address(given).password)
    return Owner(process, ready, parse_address(url))


@contextmanager
def running_owner(path: Path, log: Path, *arguments: str, **environment: str) -> Iterator[Owner]:
    owner = start_owner(path, log, *arguments, **environment)
    try:
        yield owner
    finally:
        if owner.process.poll() is None:
            owner.stop()
        assert owner.process.stdout is not None
        owner.process.stdout.close()
