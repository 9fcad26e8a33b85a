"""`precedent`: mounts each room's commands; a room is imported only when one of its commands is called."""

import importlib
import sys

import click

from contracts.errors import BadInputError, PrecedentError

COMMANDS = {
    "ab": "ab_tests.commands:ab",
    "benchmark": "policy.commands.scoring:benchmark",
    "broker": "streams.commands.broker:broker",
    "case": "policy.commands.cases:case",
    "clerk": "streams.commands.clerk:clerk",
    "court": "policy.commands.court:court",
    "demo": "streams.demo.command:demo",
    "features": "streams.commands.features:features",
    "histories": "streams.commands.ingest:histories",
    "judge": "policy.commands.judge:judge",
    "load": "streams.commands.load:load",
    "policy": "policy.commands.policy:policy",
    "recorder": "streams.commands.ingest:recorder",
    "schema": "contracts.commands:schema",
    "score": "policy.commands.scoring:score",
    "simulate": "simulation.commands:simulate",
    "sink": "streams.commands.ingest:sink",
    "taxonomy": "policy.growth.commands:taxonomy",
    "topics": "streams.commands.topics:topics",
    "triton": "serving.commands:triton",
    "vlm": "policy.commands.vlm:vlm",
    "warehouse": "warehouse.commands:warehouse",
    "worker": "streams.commands.worker:worker",
}


class Rooms(click.Group):
    """A group whose commands live in the rooms and are imported by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=Rooms, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="precedent")
def precedent() -> None:
    """Moderate short videos by common law: score, decide, cite, and let the recommender read it.

    \b
    Example:
      precedent simulate uploads --out clips --n 20 --seed 1
    """


def _one_line(error: click.ClickException) -> str:
    """A usage error's words, and where the rules stand."""
    words = " ".join(error.format_message().split())
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx is not None else ""
    return f"{words} ({path} --help)" if path else words


def main() -> None:
    """Run a command; an error of the domain or of usage is one line and exit code 2 (bad input) or 1, no traceback."""
    try:
        sys.exit(precedent(prog_name="precedent", standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        help_wanted.show()
        sys.exit(2)
    except click.ClickException as error:
        sys.stderr.write(f"precedent: {_one_line(error)}\n")
        sys.exit(error.exit_code)
    except click.Abort:
        sys.stderr.write("precedent: interrupted\n")
        sys.exit(130)
    except BadInputError as error:
        sys.stderr.write(f"precedent: {error}\n")
        sys.exit(2)
    except PrecedentError as error:
        sys.stderr.write(f"precedent: {error}\n")
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        sys.stderr.write(f"precedent: {error.filename}: {error.strerror}\n")  # a path that was given
        sys.exit(2)


if __name__ == "__main__":
    main()
