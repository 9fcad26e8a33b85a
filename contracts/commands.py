"""`precedent schema EVENT`: the JSON Schema of an event, for those who produce or consume it elsewhere."""

import json

import click

from contracts.topics import EVENTS, TOPICS


@click.command()
@click.argument("event", type=click.Choice(sorted(EVENTS)), required=False)
def schema(event: str | None) -> None:
    """Print the JSON Schema of EVENT, or list the events and their topics.

    \b
    Example:
      precedent schema VideoUploaded
    """
    if event is None:
        for topic in TOPICS:
            click.echo(f"{topic.event.__name__:20} {topic.name:24} keyed by {topic.key}")
        return
    click.echo(json.dumps(EVENTS[event].model_json_schema(), indent=2, ensure_ascii=False))
