"""`precedent broker`: the embedded Kafka broker."""

import click

from contracts.errors import BadInputError
from serving.stopping import stop_on_signals
from streams.commands.foreground import ready


@click.command()
@click.option("--port", default=0, show_default=True, help="0: the kernel chooses, as it must (see below)")
@click.option(
    "--partitions", type=click.IntRange(1, 1_000), default=4, show_default=True, help="of each topic; 5 MB each"
)
def broker(port: int, partitions: int) -> None:
    """Run the embedded Kafka broker until SIGINT or SIGTERM.

    It is librdkafka's mock cluster: volatile, at most 5 MB a partition, loopback only. Its port cannot be
    chosen; the ready line on stdout names it. For a broker that keeps its data: `make kafka`.

    \b
    Example:
      precedent broker
    """
    from streams.kafka.broker import embedded_broker

    if port:
        raise BadInputError(f"--port == {port}, must be 0: librdkafka's mock cluster cannot be given a port")
    stop = stop_on_signals()
    with embedded_broker(partitions=partitions) as running:
        ready("broker", running.address, topics=len(running.topics), partitions=partitions)
        stop.wait()
