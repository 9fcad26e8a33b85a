"""A Kafka cluster in KRaft mode on loopback: one node or several, each of them broker and controller.

`deploy/kafka/run` starts this with the project's Python. It keeps everything under the state folder, a folder for each
number of nodes and kind of door; the jars are resolved once, by Maven, into deploy/kafka/target.

Fault tests end or pause a single node by the process id in its `pid` file, which the ready line names.
With `--back-after` a node that ended is started again that many seconds later, with its log and at its address,
and the file says its new id; without it the runner ends, and the others with it.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from doors import PROTOCOLS, Door
from jars import NodeError, first_error, java_command, resolve_jars

from contracts.errors import BadInputError, DependencyError
from serving.ports import free_ports
from serving.stopping import Stop, stop_on_signals
from streams.kafka.connection import Connection
from streams.kafka.declaring import Cluster
from streams.kafka.topics import PARTITIONS
from streams.processes import end_with_parent

ROOT = Path(__file__).resolve().parents[2]
CLUSTER_ID = "cHJlY2VkZW50LWxvY2FsMA"
READY_WITHIN_S = 120.0
ENDS_WITHIN_S = 20.0
LAST_ENDS_WITHIN_S = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="deploy/kafka/run",
        description="Run a local real Kafka (KRaft) on loopback until SIGINT or SIGTERM.",
        epilog="example: deploy/kafka/run --port 9092 --nodes 3 --back-after 5",
    )
    parser.add_argument(
        "--port", type=int, default=9092, help="of the first node, the next ones follow; 0: free ones (default 9092)"
    )
    parser.add_argument("--nodes", type=int, default=1, choices=(1, 3), help="three keep three copies (default 1)")
    parser.add_argument("--state-dir", type=Path, default=ROOT / ".state" / "kafka", help="default .state/kafka")
    parser.add_argument(
        "--partitions", type=int, default=PARTITIONS, help=f"of the largest topics (default {PARTITIONS})"
    )
    parser.add_argument("--security", default="PLAINTEXT", choices=PROTOCOLS, help="of clients (default PLAINTEXT)")
    parser.add_argument(
        "--back-after", type=float, metavar="SECONDS", help="start a node again that ended by itself or was killed"
    )
    options = parser.parse_args()
    try:
        return _run(options)
    except (NodeError, BadInputError, DependencyError) as error:
        sys.stderr.write(f"kafka: {error}\n")
        return 2


@dataclass(slots=True)
class Node:
    """One node: where its files and its clients' listener are, and its process while it runs."""

    number: int
    folder: Path
    address: str
    command: Sequence[str]
    process: "subprocess.Popen[bytes] | None" = None
    ended: float = field(default=0.0)

    @property
    def pid_file(self) -> Path:
        return self.folder / "pid"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [*end_with_parent(), *self.command], stdout=sys.stderr, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self.ended = 0.0
        written = self.folder / "pid.new"
        written.write_text(f"{self.process.pid}\n", encoding="utf-8")
        written.replace(self.pid_file)

    def wait(self, seconds: float) -> None:
        """Wait for the end of a node that was told to, and end it if it does not."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _run(options: argparse.Namespace) -> int:
    stop = stop_on_signals()
    jars = resolve_jars()
    state = options.state_dir.absolute() / f"{options.nodes}-nodes-{options.security.lower()}"
    door = Door(options.security, state / "door")
    door.prepare()
    nodes = prepare(state, options.nodes, options.port, door, jars)
    try:
        for node in nodes:
            node.start()
        servers = ",".join(node.address for node in nodes)
        environment = {"PRECEDENT_BROKER": servers, **door.client_environment()}
        topics = declare(Connection.from_environment(environment), nodes, options.partitions, stop)
        if topics:
            ready = {
                "part": "kafka",
                "address": servers,
                "topics": topics,
                "partitions": options.partitions,
                "environment": environment,
                "nodes": [{"node": n.number, "address": n.address, "pid_file": str(n.pid_file)} for n in nodes],
            }
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
        while not stop.wait(0.1):
            look_after(nodes, options.back_after)
    finally:
        end(nodes)
    return 0


def look_after(nodes: Sequence[Node], back_after_s: float | None) -> None:
    """Start nodes again whose time has come; raises `NodeError` where a node that ended stays away."""
    for node in nodes:
        if node.running:
            continue
        assert node.process is not None
        if back_after_s is None:
            code = node.process.returncode
            raise NodeError(f"node {node.number} ended by itself with exit code {code}, its messages are above")
        if not node.ended:
            node.ended = time.monotonic()
        elif time.monotonic() - node.ended >= back_after_s:
            node.start()


def end(nodes: Sequence[Node]) -> None:
    """End all nodes side by side; those left without a quorum wait for answers that do not come, and are killed."""
    for node in nodes:
        if node.running and node.process is not None:
            node.process.terminate()
    until = time.monotonic() + ENDS_WITHIN_S
    while (left := sum(node.running for node in nodes)) and time.monotonic() < until:
        if left <= len(nodes) // 2:
            until = min(until, time.monotonic() + LAST_ENDS_WITHIN_S)
        time.sleep(0.05)
    for node in nodes:
        node.wait(0.0)
        node.pid_file.unlink(missing_ok=True)


def prepare(state: Path, count: int, port: int, door: Door, jars: Path) -> list[Node]:
    """Write each node's settings, and format its log where it has none; the first start takes longest."""
    ports = [port + n for n in range(count)] if port else free_ports(count)
    internal, controllers = free_ports(count), free_ports(count)
    voters = ",".join(f"{n + 1}@127.0.0.1:{controllers[n]}" for n in range(count))
    nodes, formatting = [], []
    for n in range(count):
        folder = state / f"node-{n + 1}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        properties = folder / "server.properties"
        settings = node_settings(n + 1, (ports[n], internal[n], controllers[n]), voters, count, folder / "log", door)
        properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
        command = java_command("kafka.Kafka", str(properties), jars=jars, heap_mb=320 if count == 1 else 256)
        nodes.append(Node(n + 1, folder, f"127.0.0.1:{ports[n]}", command))
        if not (folder / "log" / "meta.properties").exists():
            tool = ["format", "-t", CLUSTER_ID, "-c", str(properties), *door.format_options()]
            formatting.append(
                subprocess.Popen(
                    java_command("kafka.tools.StorageTool", *tool, jars=jars),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
    for process in formatting:
        output, _ = process.communicate()
        if process.returncode != 0:
            raise NodeError(f"a log was not formatted: {first_error(output)}")
    return nodes


def node_settings(
    number: int, ports: tuple[int, int, int], voters: str, count: int, log: Path, door: Door
) -> dict[str, object]:
    """One node's settings; `ports` are the clients', the other nodes' and the controllers'."""
    outside, inside, controller = ports
    copies = min(3, count)
    return {
        "process.roles": "broker,controller",
        "node.id": number,
        "controller.quorum.voters": voters,
        "listeners": f"{door.protocol}://127.0.0.1:{outside},INSIDE://127.0.0.1:{inside}"
        f",CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"{door.protocol}://127.0.0.1:{outside},INSIDE://127.0.0.1:{inside}",
        "listener.security.protocol.map": f"{door.protocol}:{door.protocol},INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "INSIDE",
        **door.node_settings(),
        "log.dirs": log,
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": max(1, copies - 1),
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": max(1, copies - 1),
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": max(1, copies - 1),
        "group.initial.rebalance.delay.ms": 500,
        "group.min.session.timeout.ms": 1_000,  # tests wait for sessions to run out; Kafka's own choice is 6 s
        "log.retention.hours": 24,
        "log.segment.bytes": 64 << 20,
        # a killed node's partitions get other leaders after this; Kafka's own choice is 9 s
        "broker.session.timeout.ms": 4_000,
        "broker.heartbeat.interval.ms": 500,
    }


def declare(connection: Connection, nodes: Sequence[Node], partitions: int, stop: Stop) -> int:
    """Wait until every node is in the cluster, declare the topics and return how many; none when told to stop."""
    cluster = Cluster(connection)
    until = time.monotonic() + READY_WITHIN_S
    while not stop.is_set():
        if ended := [node for node in nodes if not node.running]:
            raise NodeError(f"node {ended[0].number} ended before it answered, its messages are above")
        try:
            if cluster.brokers(within_s=1.0) == len(nodes):
                cluster.mend(cluster.lack(partitions=partitions))
                if not cluster.lack(partitions=partitions):
                    return len(cluster.wanted(partitions=partitions))
        except (DependencyError, BadInputError) as error:  # a node that starts may not know its users yet
            if time.monotonic() > until:
                raise NodeError(f"the cluster does not answer: {error}") from error
        stop.wait(0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
