"""The domain's errors: one small hierarchy, each message giving value, rule and place."""

from pydantic import ValidationError


class PrecedentError(Exception):
    """Anything this project raises on purpose; the command line shows it as one line."""


class BadInputError(PrecedentError):
    """What was given breaks a rule: a file, an event, a release, an option. Exit code 2."""


class CheckFailedError(PrecedentError):
    """A check was run and failed: a gate, a threshold, a ledger. Exit code 1."""


class DependencyError(PrecedentError):
    """A part that we depend on does not answer: wait and try again, never drop the work."""


def first_reason(error: ValueError) -> str:
    """One line for a validation error: where it is, what was given, which rule it breaks."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "record"
    given = repr(first["input"])
    shown = given if len(given) <= 80 else f"{given[:77]}..."
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] in {"json_invalid", "missing", "value_error"}:
        return f"{place}: {first['msg']}{more}"
    return f"{place} == {shown}: {first['msg']}{more}"
