"""One Kafka node in KRaft mode on loopback: resolve the jars, format the log, run it, declare the topics.

`deploy/kafka/run` starts this with the project's Python. The node keeps its data under the state folder; its
jars are resolved once, by Maven, into deploy/kafka/target.
"""

import argparse
import hashlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from contracts.topics import TOPICS
from serving.stopping import Stop, stop_on_signals
from streams.processes import end_with_parent

HERE = Path(__file__).resolve().parent
CLUSTER_ID = "cHJlY2VkZW50LWxvY2FsMA"
NODE_ID = 1


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="deploy/kafka/run",
        description="Run a local real Kafka (one node, KRaft) on loopback until SIGINT or SIGTERM.",
        epilog="example: deploy/kafka/run --port 9092",
    )
    parser.add_argument("--port", type=int, default=9092, help="of the broker; 0 chooses a free one (default 9092)")
    parser.add_argument(
        "--state-dir", type=Path, default=HERE.parents[1] / ".state" / "kafka", help="default .state/kafka"
    )
    parser.add_argument("--partitions", type=int, default=8, help="of each topic (default 8)")
    options = parser.parse_args()
    try:
        return _run(resolve_jars(), options.state_dir, options.port or free_port(), options.partitions)
    except NodeError as error:
        sys.stderr.write(f"kafka: {error}\n")
        return 2


class NodeError(Exception):
    """The node cannot be prepared or does not start; one line says why."""


def _run(jars: Path, state: Path, port: int, partitions: int) -> int:
    stop = stop_on_signals()
    properties = write_properties(state, port, free_port())
    java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties), "--ignore-formatted", jars=jars)
    node = subprocess.Popen(
        [*end_with_parent(), *java_command("kafka.Kafka", str(properties), jars=jars)],
        stdout=sys.stderr,
        start_new_session=True,
    )
    try:
        address = f"127.0.0.1:{port}"
        if declare_topics(address, partitions, node, stop):
            sys.stdout.write(
                json.dumps({"part": "kafka", "address": address, "topics": 2 * len(TOPICS), "partitions": partitions})
                + "\n"
            )
            sys.stdout.flush()
        while node.poll() is None and not stop.is_set():
            stop.wait(0.2)
    finally:
        if node.poll() is None:
            node.terminate()
        try:
            node.wait(30)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()
    if not stop.is_set():
        raise NodeError(f"the node ended by itself with exit code {node.returncode}, its messages are above")
    return 0


def resolve_jars() -> Path:
    """Let Maven copy Kafka's jars into target/, once for each version of the pom."""
    pom = HERE / "pom.xml"
    jars = HERE / "target" / hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    if not (jars / ".complete").exists():
        sys.stderr.write("kafka: resolving the jars with Maven (about 45 MB, once)\n")
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={jars}"],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            raise NodeError(f"Maven could not resolve {pom}: {_first_error(done.stdout)}")
        (jars / ".complete").touch()
    return jars


def write_properties(state: Path, port: int, controller_port: int) -> Path:
    """Write the node's settings: broker and controller in one, everything on loopback, one replica."""
    state.mkdir(parents=True, exist_ok=True)
    settings = {
        "process.roles": "broker,controller",
        "node.id": NODE_ID,
        "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": state / "log",
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 500,
        "log.retention.hours": 24,
        "log.segment.bytes": 64 << 20,
    }
    properties = state / "server.properties"
    properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    return properties


def java_command(main_class: str, *arguments: str, jars: Path) -> list[str]:
    return [
        "java",
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-cp",
        f"{jars}/*",
        main_class,
        *arguments,
    ]


def java(main_class: str, *arguments: str, jars: Path) -> None:
    """Run a Java tool to its end; raises `NodeError` with the first thing that it says when it fails."""
    done = subprocess.run(
        java_command(main_class, *arguments, jars=jars),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise NodeError(f"{main_class} failed: {_first_error(done.stdout)}")


def declare_topics(address: str, partitions: int, node: "subprocess.Popen[bytes]", stop: Stop) -> bool:
    """Wait until the broker answers and declare every topic and its dead letters; False when told to stop."""
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    until = time.monotonic() + 60.0
    while not stop.is_set():
        if node.poll() is not None or time.monotonic() > until:
            raise NodeError(f"no answer at {address}, exit code {node.returncode}, the node's messages are above")
        try:
            present = admin.list_topics(timeout=1.0).topics
        except KafkaException:
            continue
        wanted = [name for topic in TOPICS for name in (topic.name, topic.dead) if name not in present]
        _create(admin, wanted, partitions)
        return True
    return False


def _create(admin: AdminClient, names: list[str], partitions: int) -> None:
    if not names:
        return
    for created in admin.create_topics([NewTopic(name, partitions, 1) for name in names]).values():
        try:
            created.result(timeout=30.0)
        except KafkaException as error:
            # a node that has just come back may not list every topic that it has
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise NodeError(f"a topic was not created: {error}") from error


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "ERROR" in line or "xception" in line), lines[0] if lines else "no message")


if __name__ == "__main__":
    sys.exit(main())
