"""What a person sees while a command works: a line, or a bar."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def say(line: str) -> None:
    """A line of what is going on, where somebody watches."""
    if sys.stderr.isatty() or os.environ.get("PRECEDENT_VERBOSE"):
        sys.stderr.write(f"{line}\n")


@contextmanager
def progress_of(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr where that is a terminal; yields what advances it."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda n: bar.advance(task, n)
