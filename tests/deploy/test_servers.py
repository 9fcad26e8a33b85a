"""The configurations of Redis and Kafka, run by the real servers as their containers would run them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path

import pytest
import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from serving.ports import free_port
from tests.deploy.rendering import KUBERNETES, ROOT
from tests.redis_server import needs_redis
from tests.streams.conftest import needs_kafka

BASE = KUBERNETES / "base"
AT_MOST_S = 300.0
SECRET = "5f3a90c4d1"


def until(done: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + AT_MOST_S
    while not done():
        assert process.poll() is None, log.read_text()[-2_000:]
        assert time.monotonic() < end, log.read_text()[-2_000:]
        time.sleep(0.05)


@contextmanager
def started(
    script: Path, folder: Path, environment: dict[str, str]
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """A container's start script in this file system, ended as a container is where the test did not kill it."""
    log = folder / "log"
    with log.open("wb") as messages:
        process = subprocess.Popen(
            ["sh", script], stdout=messages, stderr=messages, env={**os.environ, "TMPDIR": str(folder), **environment}
        )
    try:
        yield process, log
        if process.poll() is None:
            process.terminate()
            assert process.wait(180) in {0, 143}
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@needs_redis
def test_redis_wants_the_password_keeps_what_it_answered_and_evicts_nothing(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "password").write_text(SECRET, encoding="utf-8")
    (tmp_path / "data").mkdir()
    conf = (BASE / "redis" / "redis.conf").read_text(encoding="utf-8")
    for there, here in (
        ("bind * -::*", "bind 127.0.0.1"),
        ("port 6379", f"port {port}"),
        ("dir /data", f"dir {tmp_path}/data"),
        ("include /tmp/password.conf", f"include {tmp_path}/password.conf"),
    ):
        assert there in conf
        conf = conf.replace(there, here)
    (tmp_path / "redis.conf").write_text(conf, encoding="utf-8")
    environment = {"REDIS_PASSWORD_FILE": f"{tmp_path}/password", "REDIS_CONF": f"{tmp_path}/redis.conf"}
    script, store, stranger = (
        BASE / "redis" / "start.sh",
        redis.Redis(port=port, password=SECRET),
        redis.Redis(port=port),
    )
    with started(script, tmp_path, environment) as (process, log):
        until(lambda: _answers(store), process, log)
        with pytest.raises(redis.AuthenticationError):
            stranger.get("video")
        store.set("video", "seen")
        assert store.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert store.config_get("appendonly") == {"appendonly": "yes"}
        assert SECRET.encode() not in told(process)
        process.kill()
        process.wait()
    with started(script, tmp_path, environment) as (process, log):
        until(lambda: _answers(store), process, log)
        assert store.get("video") == b"seen"
    store.close()
    stranger.close()


def told(process: "subprocess.Popen[bytes]") -> bytes:
    """What everybody on the machine can read of a process: its arguments and, for its owner, its environment."""
    return Path(f"/proc/{process.pid}/cmdline").read_bytes() + Path(f"/proc/{process.pid}/environ").read_bytes()


def _answers(store: "redis.Redis") -> bool:
    try:
        return bool(store.ping())
    except (redis.ConnectionError, redis.BusyLoadingError):
        return False


def kafka_home(folder: Path) -> Path:
    """/opt/kafka as the image has it, as far as start.sh looks: two scripts over the jars that Maven resolved."""
    spec = util.spec_from_file_location("jars", ROOT / "deploy" / "kafka" / "jars.py")
    assert spec is not None
    assert spec.loader is not None
    jars = util.module_from_spec(spec)
    spec.loader.exec_module(jars)
    home = jars.resolve_jars()
    (folder / "bin").mkdir()
    for script, main_class in (
        ("kafka-storage.sh", "kafka.tools.StorageTool"),
        ("kafka-server-start.sh", "kafka.Kafka"),
    ):
        command = " ".join(f"'{word}'" for word in jars.java_command(main_class, jars=home, heap_mb=320))
        (folder / "bin" / script).write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        (folder / "bin" / script).chmod(0o755)
    return folder


@pytest.mark.kafka
@needs_kafka
@pytest.mark.parametrize(
    ("properties", "alone"),
    [
        pytest.param("deploy/compose/kafka.properties", "", id="compose"),
        # Three nodes are told of, one runs: it must not wait for copies on the others.
        pytest.param(
            "deploy/kubernetes/base/kafka/server.properties",
            "\noffsets.topic.replication.factor=1\nmin.insync.replicas=1\ndefault.replication.factor=1\n",
            id="kubernetes",
        ),
    ],
)
def test_kafka_lets_nobody_in_without_the_password_and_topics_are_declared_by_the_job(
    properties: str, alone: str, tmp_path: Path
) -> None:
    client, internal, controller = free_port(), free_port(), free_port()
    for name in ("kafka_password", "kafka_internal_password"):
        (tmp_path / name).write_text(SECRET, encoding="utf-8")
    text = (ROOT / properties).read_text(encoding="utf-8")
    for there, here in (
        ("CLIENT://:9092", f"CLIENT://127.0.0.1:{client}"),
        ("INTERNAL://:9093", f"INTERNAL://127.0.0.1:{internal}"),
        ("INTERNAL://127.0.0.1:9093", f"INTERNAL://127.0.0.1:{internal}"),
        ("CONTROLLER://:9094", f"CONTROLLER://127.0.0.1:{controller}"),
        ("CONTROLLER://127.0.0.1:9094", f"CONTROLLER://127.0.0.1:{controller}"),
        ("0@127.0.0.1:9094", f"0@127.0.0.1:{controller}"),
        (
            "0@kafka-0.kafka-nodes:9094,1@kafka-1.kafka-nodes:9094,2@kafka-2.kafka-nodes:9094",
            f"0@127.0.0.1:{controller}",
        ),
        ("/var/lib/kafka/data", f"{tmp_path}/data"),
        ("/run/secrets/precedent", str(tmp_path)),
    ):
        text = text.replace(there, here)
    (tmp_path / "given.properties").write_text(text + alone, encoding="utf-8")
    advertised = f"CLIENT://127.0.0.1:{client},INTERNAL://127.0.0.1:{internal}"
    environment = {
        "KAFKA_HOME": str(kafka_home(tmp_path)),
        "KAFKA_PROPERTIES": f"{tmp_path}/given.properties",
        "KAFKA_CLIENT_PASSWORD_FILE": f"{tmp_path}/kafka_password",
        "KAFKA_NODE": "0",
        "KAFKA_ADVERTISED": advertised,
        "KAFKA_CLUSTER_ID": "cHJlY2VkZW50LW9uZS0wMA",
    }
    known = {
        "PRECEDENT_BROKER": f"127.0.0.1:{client}",
        "PRECEDENT_KAFKA_SECURITY": "SASL_PLAINTEXT",
        "PRECEDENT_KAFKA_USERNAME": "precedent",
        "PRECEDENT_KAFKA_PASSWORD_FILE": f"{tmp_path}/kafka_password",
    }
    with started(BASE / "kafka" / "start.sh", tmp_path, environment) as (process, log):
        until(lambda: _listed(client, SECRET) is not None, process, log)
        assert _listed(client, "another") is None
        assert _listed(client, None) is None
        declared = _run("topics", "declare", "--partitions", "2", environment=known)
        assert json.loads(declared.stdout)["declared"] == 18
        assert _run("topics", "check", "--partitions", "2", environment=known).returncode == 0
        until(lambda: "videos.uploaded" in (_listed(client, SECRET) or ()), process, log)
        assert SECRET.encode() not in told(process)


def _run(*arguments: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=600, env={**os.environ, **environment}
    )


def _listed(port: int, password: str | None) -> set[str] | None:
    """The topics that somebody sees with this password; None where they are not let in."""
    sasl = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "precedent"}
    login = {} if password is None else {**sasl, "sasl.password": password}
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0, **login})
    try:
        return set(admin.list_topics(timeout=2.0).topics)
    except KafkaException:
        return None
