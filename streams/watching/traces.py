"""What a part tells of a batch under way, so that it can be traced; nothing here knows a tracing library.

A batch carries many videos, so it has a trace of its own: a span with its stages as children. A video that is followed
has a span in the trace of its sender (the record's `traceparent` header) or one that begins here; it begins when
the event happened and ends when it has arrived where the part keeps it. The two spans are linked, each to the other.
What the part sends on carries the video's span, so that the next part goes on with the same trace.

Off, which is the default, a batch costs a handful of empty calls and nothing is imported.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from types import MappingProxyType
from typing import NamedTuple, Protocol, Self

from contracts.errors import BadInputError

TRACES = "PRECEDENT_TRACES"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
DEFAULT_SHARE = 0.01

Headers = Sequence[tuple[str, bytes]]
Attributes = Mapping[str, str | int | float]


class Journey(NamedTuple):
    """What a followed record is: a key of its own in the batch, when it began, and what is worth knowing of it."""

    key: str
    began_at: datetime
    attributes: Attributes


class BatchTrace(Protocol):
    """One batch under way, from `with` to its end."""

    def stage(self, stage: str, began_s: float, ended_s: float) -> None:
        """Note a stage that is done, by `time.perf_counter`."""

    def follow(
        self, count: int, headers: Callable[[int], Headers | None], describe: Callable[[int], Journey], *, begins: bool
    ) -> None:
        """Choose who is followed among `count` records: those whose sender is traced and, if one may begin, a share."""

    def arrived(self, key: str, at: datetime, attributes: Attributes) -> None:
        """Note that a record is kept; one that nobody follows is nothing to note."""

    @property
    def onward(self) -> Mapping[str, Headers]:
        """The headers of what is sent on of each followed record, by its key."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


class Tracing(Protocol):
    """Traces batches; `close` sends what is not sent yet, in a bounded time."""

    def batch(self, name: str, events: int) -> BatchTrace: ...
    def close(self) -> None: ...


class _NoTrace:
    onward: Mapping[str, Headers] = MappingProxyType({})

    def stage(self, stage: str, began_s: float, ended_s: float) -> None:
        """Note nothing."""

    def follow(
        self, count: int, headers: Callable[[int], Headers | None], describe: Callable[[int], Journey], *, begins: bool
    ) -> None:
        """Follow nobody."""

    def arrived(self, key: str, at: datetime, attributes: Attributes) -> None:
        """Note nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to end."""


class _Untraced:
    _nothing = _NoTrace()

    def batch(self, name: str, events: int) -> BatchTrace:
        return self._nothing

    def close(self) -> None:
        """There is nothing to send."""


UNTRACED: Tracing = _Untraced()


def headers_of(record: object) -> Headers | None:
    """A consumed record's headers; None where its kind has none."""
    return getattr(record, "headers", None)


def share_in(environ: Mapping[str, str]) -> float:
    """The share of records to follow, in [0, 1]; 0 where nobody asked for traces.

    `PRECEDENT_TRACES` is the share, and 0 turns traces off; without it, an OTLP endpoint asks for `DEFAULT_SHARE`.
    """
    said = environ.get(TRACES, "").strip()
    if not said:
        return DEFAULT_SHARE if any(environ.get(name) for name in ENDPOINTS) else 0.0
    try:
        share = float(said)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise BadInputError(f"{TRACES} == {said!r}, must be a share of the videos from 0 to 1")
    return share


def tracing_in(environ: Mapping[str, str], part: str) -> Tracing:
    """The tracing that the environment asks a part for; raises `BadInputError` where its packages are missing."""
    share = share_in(environ)
    if not share:
        return UNTRACED
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
        asks = TRACES if environ.get(TRACES) else next(name for name in ENDPOINTS if environ.get(name))
        raise BadInputError(f"{asks} asks for traces, which need the packages of precedent[tracing]")
    from streams.watching.otel import OtelTracing

    return OtelTracing.over_http(part, share)
