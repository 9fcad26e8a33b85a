"""Batches under way in, OpenTelemetry spans out, sent by OTLP over HTTP from a thread of their own.

Only imported where traces are asked for. A collector that is slow or away costs spans, which are dropped when the queue
is full, and never a batch's time.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Self

import numpy as np
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Tracer, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.status import Status, StatusCode

from streams.watching.traces import Attributes, Headers, Journey

TRACEPARENT = "traceparent"
AT_MOST_FOLLOWED = 32
"""Records followed of one batch: a sender that marks everything must not have a span made for each of its records."""
FLUSH_S = 2.0
_W3C = TraceContextTextMapPropagator()
_ROOT = Context()


class OtelTracing:
    """Traces the batches of a part; `share` of the records that no sender traces begin a trace here."""

    def __init__(self, provider: TracerProvider, share: float, rng: np.random.Generator) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("precedent")
        self._share = share
        self._rng = rng

    @classmethod
    def over_http(cls, part: str, share: float) -> Self:
        """Send to where OTEL_EXPORTER_OTLP_ENDPOINT says; who is followed is decided here, not by the SDK."""
        resource = Resource.create(
            {"service.name": f"precedent-{part}", "service.instance.id": f"{socket.gethostname()}:{os.getpid()}"}
        )
        provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider, share, np.random.default_rng())

    def batch(self, name: str, events: int) -> "OtelBatch":
        return OtelBatch(self._tracer, name, events, self._share, self._rng)

    def close(self) -> None:
        """Send what is left, for `FLUSH_S` at most: the SDK's own flush waits for as long as the exporter retries."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(FLUSH_S)


class OtelBatch:
    """One batch: its span is made only when somebody in it is followed."""

    def __init__(self, tracer: Tracer, name: str, events: int, share: float, rng: np.random.Generator) -> None:
        self._tracer = tracer
        self._name = name
        self._events = events
        self._share = share
        self._rng = rng
        self._began_ns = time.time_ns()
        self._epoch_ns = self._began_ns - time.perf_counter_ns()
        self._stages: list[tuple[str, float, float]] = []
        self._span: Span | None = None
        self._under_way: dict[str, Span] = {}
        self.onward: Mapping[str, Headers] = {}

    def __enter__(self) -> Self:
        return self

    def stage(self, stage: str, began_s: float, ended_s: float) -> None:
        self._stages.append((stage, began_s, ended_s))

    def follow(
        self, count: int, headers: Callable[[int], Headers | None], describe: Callable[[int], Journey], *, begins: bool
    ) -> None:
        chosen = self._choose(count, headers, begins=begins)
        if not chosen:
            return
        senders = [Link(get_current_span(context).get_span_context()) for context in chosen.values() if context]
        self._span = self._tracer.start_span(
            self._name,
            context=_ROOT,
            kind=SpanKind.CONSUMER,
            start_time=self._began_ns,
            links=senders,
            attributes={"precedent.events": self._events, "precedent.followed": len(chosen)},
        )
        batch = Link(self._span.get_span_context())
        onward = {}
        for row, context in chosen.items():
            journey = describe(row)
            happened_ns = min(_ns(journey.began_at), self._began_ns)
            span = self._tracer.start_span(
                f"{self._name} one",
                context=context or _ROOT,
                kind=SpanKind.CONSUMER,
                start_time=happened_ns,
                links=[batch],
                attributes={**journey.attributes, "precedent.queued_s": (self._began_ns - happened_ns) / 1e9},
            )
            self._under_way[journey.key] = span
            onward[journey.key] = [(TRACEPARENT, _traceparent(span.get_span_context()))]
        self.onward = onward

    def arrived(self, key: str, at: datetime, attributes: Attributes) -> None:
        if span := self._under_way.pop(key, None):
            span.set_attributes(dict(attributes))
            span.end(_ns(at))

    def __exit__(self, *error: object) -> None:
        if self._span is None:
            return
        ended_ns = time.time_ns()
        children = set_span_in_context(self._span, _ROOT)
        for stage, began_s, ended_s in self._stages:
            child = self._tracer.start_span(stage, context=children, start_time=self._ns_of(began_s))
            child.end(self._ns_of(ended_s))
        for span in self._under_way.values():
            span.set_status(Status(StatusCode.ERROR, "it did not arrive with this batch"))
            span.end(ended_ns)
        if error[1] is not None:
            self._span.set_status(Status(StatusCode.ERROR, repr(error[1])))
        self._span.end(ended_ns)

    def _choose(
        self, count: int, headers: Callable[[int], Headers | None], *, begins: bool
    ) -> dict[int, Context | None]:
        """The rows to follow, each with its sender's context or None; a sender that says not to is obeyed."""
        chosen: dict[int, Context | None] = {}
        spoken_for: set[int] = set()
        for row in range(count):
            carried = headers(row)
            if carried and (context := _sender(carried)) is not None:
                spoken_for.add(row)
                if get_current_span(context).get_span_context().trace_flags.sampled:
                    chosen[row] = context
                    if len(chosen) == AT_MOST_FOLLOWED:
                        return chosen
        if begins and (lots := int(self._rng.binomial(count, self._share))):
            for row in self._rng.choice(count, min(lots, count), replace=False).tolist():
                if row not in spoken_for and len(chosen) < AT_MOST_FOLLOWED:
                    chosen[row] = None
        return chosen

    def _ns_of(self, perf_s: float) -> int:
        return self._epoch_ns + int(perf_s * 1e9)


def _sender(headers: Headers | Mapping[str, bytes]) -> Context | None:
    """The context that a record's headers carry; None where they carry none, or nothing that is one."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    for name, value in pairs:
        if name == TRACEPARENT and value:
            context = _W3C.extract({TRACEPARENT: value.decode("latin-1")}, context=_ROOT)
            return context if get_current_span(context).get_span_context().is_valid else None
    return None


def _traceparent(context: SpanContext) -> bytes:
    return b"00-%032x-%016x-%02x" % (context.trace_id, context.span_id, context.trace_flags)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6) * 1_000
