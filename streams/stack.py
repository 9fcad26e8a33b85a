"""A releases folder in, a running system out: every embedded part as a process, and the addresses of all of them.

The parts start side by side where they do not need each other, end in the reverse order, and write their
messages to STATE/logs. The environment that the parts were given is in `Stack.environment`: a process started
with it reaches the same broker, Triton, features and warehouse.
"""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from streams.kafka.connection import VARIABLES, Connection
from streams.processes import Part, Parts
from warehouse.address import WarehouseAddress

# One thread a part: the parts share the machine's cores, and libraries that each take all of them slow all down.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"}


@dataclass(slots=True)
class Stack:
    """The running parts, by name, and the environment that reaches them."""

    environment: dict[str, str]
    parts: Parts
    state: Path
    worker_options: tuple[str, ...] = ()
    workers: list[Part] = field(default_factory=list)
    _commands: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def broker(self) -> str:
        return self.environment["PRECEDENT_BROKER"]

    @property
    def kafka(self) -> Connection:
        """The same broker, with what a client of it needs to say."""
        return Connection.from_environment({**os.environ, **self.environment})

    @property
    def warehouse(self) -> str | None:
        """Its address with the password; None in a stack without a warehouse."""
        return self.environment.get("PRECEDENT_WAREHOUSE")

    def part(self, name: str) -> Part:
        """The part that was started last under this name."""
        return next(part for part in reversed(list(self.parts)) if part.name == name)

    def start(self, name: str, *command: str) -> Part:
        """Start a `precedent` command in this stack; reading its `address` waits for its ready line."""
        self._commands[name] = command
        log = self.state / "logs" / f"{name}.log"
        return self.parts.start(name, precedent(*command), env=self.environment, log=log)

    def start_again(self, name: str) -> Part:
        """Start a part that has ended, at the address that it had."""
        port = self.part(name).address.rpartition(":")[2]
        return self.start(name, *self._commands[name], "--port", port)

    def start_anew(self, name: str) -> Part:
        """Start a part that has ended and that nobody connects to, without waiting for it."""
        return self.start(name, *self._commands[name])

    def start_worker(self) -> Part:
        """Start one more worker, without waiting for it."""
        worker = self.start(f"worker-{len(self.workers) + 1}", "worker", *self.worker_options)
        self.workers.append(worker)
        return worker


def precedent(*arguments: str) -> list[str]:
    """The command line of `precedent` in this interpreter."""
    return [sys.executable, "-m", "cli", *arguments]


@contextmanager
def embedded_stack(
    state: Path,
    releases: Path,
    *,
    workers: int = 2,
    warehouse: bool = True,
    triton: bool = True,
    media_roots: tuple[Path, ...] = (),
    broker: str | None = None,
    online_store: str | None = None,
    worker_options: tuple[str, ...] = (),
    docket: Path | None = None,
    clerk_options: tuple[str, ...] = (),
    court_options: tuple[str, ...] | None = None,
) -> Iterator[Stack]:
    """Run the embedded parts while the context is open; the pointer in `releases` must name a release.

    Without `triton` the workers score in their own processes. `broker` is the address of another Kafka to use,
    with what our own environment says of Kafka; `online_store` that of another store of features, which the workers
    write by themselves.
    With a `docket`, which needs the warehouse, a clerk works on it, and the court serves it if it is given options.
    Raises `DependencyError` with the end of its log when a part does not become ready.
    """
    state = state.absolute()
    state.mkdir(parents=True, exist_ok=True)
    environment = {
        **ONE_THREAD,
        "PRECEDENT_RELEASES": str(releases.absolute()),
        "PRECEDENT_ONLINE_STORE": online_store or f"sqlite:///{state / 'features' / 'online.db'}",
        "PRECEDENT_FEATURES_REGISTRY": str(state / "features" / "registry.db"),
        "PRECEDENT_MEDIA_ROOTS": ":".join(str(root.absolute()) for root in media_roots),
    }
    with Parts() as parts:
        options = worker_options if triton else (*worker_options, "--in-process")
        stack = Stack(environment, parts, state, options)
        own_broker = None if broker else stack.start("broker", "broker")
        if own_broker is not None:
            # in the clear whatever we were told of another Kafka, and it forgets its producers when it ends
            environment |= dict.fromkeys(VARIABLES, "") | {"PRECEDENT_KAFKA_IDEMPOTENT": "false"}
        model_server = stack.start("triton", "triton", "--port", "0") if triton else None
        writer = None if online_store else stack.start("features", "features", "writer")
        if warehouse:
            _start_warehouse(stack)
        environment["PRECEDENT_BROKER"] = broker or (own_broker.address if own_broker else "")
        if writer is not None:
            environment["PRECEDENT_FEATURES_WRITER"] = writer.address
        if model_server is not None:
            environment["PRECEDENT_TRITON"] = model_server.address
        copiers = [stack.start(name, name) for name in ("sink", "recorder")] if warehouse else []
        for _ in range(workers):
            stack.start_worker()
        officers = _start_officers(stack, docket, clerk_options, court_options) if docket else []
        for part in (*stack.workers, *copiers, *officers):
            _ = part.address
        yield stack


def _start_officers(
    stack: Stack, docket: Path, clerk_options: tuple[str, ...], court_options: tuple[str, ...] | None
) -> list[Part]:
    """Start who works on the docket, without waiting for them."""
    stack.environment["PRECEDENT_DOCKET"] = str(docket.absolute())
    officers = [stack.start("clerk", "clerk", *clerk_options)]
    if court_options is not None:
        officers.append(stack.start("court", "court", *court_options))
    return officers


def _start_warehouse(stack: Stack) -> None:
    """Start the warehouse with a password of its own and bring its schema up to date."""
    from warehouse.migrate import migrate

    login = WarehouseAddress("127.0.0.1", 0, "precedent", secrets.token_urlsafe(18))
    stack.environment["PRECEDENT_WAREHOUSE"] = login.url  # whom it lets in; where it is comes with its ready line
    owner = stack.start("warehouse", "warehouse", "--path", str(stack.state / "warehouse"))
    host, _, port = owner.address.rpartition(":")
    address = replace(login, host=host, port=int(port))
    migrate(address)
    stack.environment["PRECEDENT_WAREHOUSE"] = address.url
