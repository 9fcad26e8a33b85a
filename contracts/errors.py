"""The domain's errors: one small hierarchy, each message giving value, rule and place."""

from collections.abc import Sequence

from pydantic import ValidationError


class PrecedentError(Exception):
    """Anything this project raises on purpose; the command line shows it as one line."""


class BadInputError(PrecedentError):
    """What was given breaks a rule: a file, an event, a release, an option. Exit code 2."""


class CheckFailedError(PrecedentError):
    """A check was run and failed: a gate, a threshold, a ledger. Exit code 1."""


class DependencyError(PrecedentError):
    """A part that we depend on does not answer: wait and try again, never drop the work."""


def printable(text: str, *, at_most: int) -> str:
    """The text cut to `at_most` characters, what a terminal would obey escaped: others' words stay on one line."""
    cut = text if len(text) <= at_most else f"{text[: at_most - 3]}..."
    return cut if cut.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)


def place_of(path: Sequence[str | int]) -> str:
    """Where in a record an error lies, as `outer.inner`; the names may be somebody else's."""
    return printable(".".join(map(str, path)), at_most=80) or "record"


def first_reason(error: ValueError) -> str:
    """One line for a validation error: where it is, what was given, which rule it breaks."""
    if not isinstance(error, ValidationError):
        return printable(str(error), at_most=2_000)
    first = error.errors(include_url=False)[0]
    place = place_of(first["loc"])
    shown = printable(repr(first["input"]), at_most=80)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] in {"json_invalid", "missing", "value_error"}:
        return f"{place}: {first['msg']}{more}"
    return f"{place} == {shown}: {first['msg']}{more}"
