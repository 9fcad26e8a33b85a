"""What is to be broken: a stack on a real Kafka, with a Redis or a SQLite file, its warehouse on a small disk."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.chaos.lags import Groups
from bench.chaos.schedule import SESSION_S, Target
from bench.stand_in import point_to, random_casebook, write_release
from serving.ports import free_port
from streams.processes import Part, Parts
from streams.stack import Stack, embedded_stack

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
BACK_AFTER_S = 1.0
"""When a broker that ended is started again."""
DISK_MB = 512


@dataclass(frozen=True, slots=True)
class Disk:
    """A small file system of its own, which a file that takes what is left fills."""

    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as ballast:
            block = bytes(1 << 20)
            while block:
                try:
                    ballast.write(block)
                except OSError:
                    block = block[: len(block) // 2]

    def free(self) -> None:
        self._ballast.unlink()


@dataclass(slots=True)
class Stage:
    """The running stack and what is needed to break it; `no_disk` says why there is none that may be filled."""

    stack: Stack
    below: Parts
    kafka: Part
    groups: Groups
    store: Target
    redis: tuple[str, ...] = ()
    disk: Disk | None = None
    no_disk: str = ""
    exit_codes: list[tuple[str, int]] = field(default_factory=list)
    """Of parts that were told to end."""

    @property
    def workers(self) -> list[Part]:
        return [worker for worker in self.stack.workers if worker.running()]

    def node_pid(self, node: int) -> int:
        """Of a broker node, 0 while there is none."""
        nodes = self.kafka.ready["nodes"]
        try:
            return int(Path(nodes[node % len(nodes)]["pid_file"]).read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def node_address(self, node: int) -> str:
        nodes = self.kafka.ready["nodes"]
        return str(nodes[node % len(nodes)]["address"])

    def part(self, name: str) -> Part:
        """The part that was started last under this name."""
        return next(part for part in reversed([*self.below, *self.stack.parts]) if part.name == name)

    def start_redis(self) -> Part:
        log = self.stack.state.parent / "logs" / "redis.log"
        return self.below.start("redis", self.redis, log=log)


@contextmanager
def staged(*, nodes: int, store: Target, workers: int, triton: bool = True) -> Iterator[Stage]:
    """Run everything while the context is open, in a folder of its own that is gone afterwards.

    Raises `DependencyError` where Kafka or Redis cannot be had.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, Parts() as below:
        folder = Path(name)
        point_to(folder / "releases", write_release(folder / "releases", 1, random_casebook(200)))
        command: tuple[str, ...] = (
            str(DEPLOY / "kafka" / "run"),
            "--port",
            "0",
            "--nodes",
            str(nodes),
            "--state-dir",
            str(folder / "kafka"),
        )
        command += ("--partitions", "6", "--back-after", f"{BACK_AFTER_S:g}")
        kafka = below.start("kafka", command, log=folder / "logs" / "kafka.log", ready_within_s=300.0)
        redis: tuple[str, ...] = ()
        online = None
        if store is Target.REDIS:
            port = free_port()
            redis = (str(DEPLOY / "redis" / "run"), "--port", str(port), "--state-dir", str(folder / "redis"))
            online = f"redis://127.0.0.1:{port}/0"
            _ = below.start("redis", redis, log=folder / "logs" / "redis.log").address
        with (
            _small_disk(folder / "state" / "warehouse") as (disk, no_disk),
            embedded_stack(
                folder / "state",
                folder / "releases",
                workers=workers,
                triton=triton,
                broker=kafka.address,
                online_store=online,
                worker_options=("--session-timeout", f"{SESSION_S:g}"),
            ) as stack,
        ):
            groups = Groups(stack.kafka)
            try:
                yield Stage(stack, below, kafka, groups, store, redis, disk, no_disk)
            finally:
                groups.close()
                _keep_logs(folder)


@contextmanager
def _small_disk(folder: Path) -> Iterator[tuple[Disk | None, str]]:
    """Mount a file system of `DISK_MB` on a folder; None and the reason where this user may not."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "tmpfs", str(folder)]
    mount = shutil.which("mount")
    done = subprocess.run(command, capture_output=True, check=False, text=True) if mount else None
    if done is None or done.returncode:
        yield None, (done.stderr.strip() if done else "") or "there is no `mount` here"
        return
    try:
        yield Disk(folder), ""
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def _keep_logs(folder: Path) -> None:
    """Copy the parts' messages to the folder that PRECEDENT_CHAOS_LOGS names."""
    if kept := os.environ.get("PRECEDENT_CHAOS_LOGS"):
        for logs in (folder / "logs", folder / "state" / "logs"):
            shutil.copytree(logs, kept, dirs_exist_ok=True)
