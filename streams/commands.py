"""The room's commands, one embedded or online part each, in the foreground."""

import json
import signal
import threading
from pathlib import Path

import click

from contracts.errors import BadInputError


def _ready(part: str, address: str, **more: object) -> None:
    click.echo(json.dumps({"part": part, "address": address, **more}))


@click.command()
@click.option("--port", default=0, show_default=True, help="0: the kernel chooses, as it must (see below)")
def broker(port: int) -> None:
    r"""Run the embedded Kafka broker until SIGINT or SIGTERM.

    It is librdkafka's mock cluster: volatile, 4 partitions a topic, 5 MB a partition, loopback only. Its port
    cannot be chosen; the ready line on stdout names it. For a broker that keeps its data: `make kafka`.

    \b
    Example:
      precedent broker
    """
    from streams.kafka.broker import PARTITIONS, embedded_broker

    if port:
        raise BadInputError(f"--port == {port}, must be 0: librdkafka's mock cluster cannot be given a port")
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    with embedded_broker() as running:
        _ready("broker", running.address, topics=len(running.topics), partitions=PARTITIONS)
        stop.wait()
