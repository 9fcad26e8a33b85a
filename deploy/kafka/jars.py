"""Kafka's jars, resolved once by Maven, and the Java commands that run them."""

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
QUIET = ("org.apache.kafka.clients.NetworkClient", "org.apache.kafka.raft.KafkaNetworkChannel")
"""What says again and again that a node is away."""


class NodeError(Exception):
    """A node cannot be prepared or does not start; one line says why."""


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
            raise NodeError(f"Maven could not resolve {pom}: {first_error(done.stdout)}")
        (jars / ".complete").touch()
    return jars


def java_command(main_class: str, *arguments: str, jars: Path, heap_mb: int = 128) -> list[str]:
    return [
        "java",
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        *(f"-Dorg.slf4j.simpleLogger.log.{name}=error" for name in QUIET),
        "-cp",
        f"{jars}/*",
        main_class,
        *arguments,
    ]


def first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "ERROR" in line or "xception" in line), lines[0] if lines else "no message")
