"""Messages in, K completions of an OpenAI-compatible endpoint out: bounded in time, in bytes and in patience."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

from contracts.errors import BadInputError, DependencyError, printable
from contracts.reasoning import THINK
from policy.reasoning.question import Messages

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MOST_BYTES = 1 << 20
BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses that another try may not have."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the model answers: POST {base}/chat/completions. `patience_s`: how long a question is tried in all.

    The key goes into a header and nowhere else.
    """

    base: str
    model: str = "default"
    key: str | None = field(default=None, repr=False)
    timeout_s: float = 60.0
    patience_s: float = 180.0
    parallel: int = 4
    most_tokens: int = 2_048

    def __post_init__(self) -> None:
        parts = urlsplit(self.base)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
            raise BadInputError(f"endpoint {self.base.split('@')[-1]!r}, must be http://HOST:PORT/v1 or https://…")
        if self.key and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise BadInputError(f"endpoint {self.base!r} is not https, a key must not travel unencrypted")


class Completion(NamedTuple):
    """What the model said, and the tokens that the endpoint counted, 0 where it does not say."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


class RefusedError(BadInputError):
    """The endpoint refuses a request, with its status; or what it answered is none: `status` is None then."""

    def __init__(self, place: str, what: str, status: int | None = None) -> None:
        super().__init__(f"{place}: {what}")
        self.what = what
        self.status = status


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An endpoint that sends us elsewhere is refused: the key and the evidence are for it alone."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class ChatClient:
    """Asks one endpoint; may be shared by threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = endpoint
        self._sleep = sleep
        self._clock = clock
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if urlsplit(endpoint.base).hostname in LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def complete(self, messages: Messages, n: int = 1, *, temperature: float = 1.0) -> list[Completion]:
        """Ask for n completions, several at once.

        Raises `DependencyError` when patience ends, `RefusedError` when the endpoint refuses the request or answers
        with something that is no completion.
        """
        at = self._endpoint
        asked = {"model": at.model, "messages": messages, "temperature": temperature, "max_tokens": at.most_tokens}
        body = json.dumps(asked).encode()
        if n == 1:
            return [self._answer(body)]
        with ThreadPoolExecutor(max(1, min(at.parallel, n))) as threads:
            return list(threads.map(lambda _: self._answer(body), range(n)))

    def _answer(self, body: bytes) -> Completion:
        until, wait = self._clock() + self._endpoint.patience_s, 0.5
        while True:
            try:
                return self._once(body)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code not in BUSY:
                    self._refuse(f"answers {error.code} {printable(str(error.reason), at_most=80)}", error.code)
                reason, asked = f"answers {error.code}", seconds_of(error.headers.get("Retry-After"))
            except (OSError, HTTPException) as error:
                reason, asked = f"{type(error).__name__}: {printable(str(error), at_most=120)}", 0.0
            pause = max(wait, asked)
            if self._clock() + pause > until:
                place = self._endpoint.base
                raise DependencyError(f"{place}: does not answer in {self._endpoint.patience_s:g} s: {reason}")
            self._sleep(pause)
            wait = min(2 * wait, 30.0)

    def _once(self, body: bytes) -> Completion:
        at = self._endpoint
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {at.key}"} if at.key else {})
        request = urllib.request.Request(f"{at.base.rstrip('/')}/chat/completions", data=body, headers=headers)
        with self._opener.open(request, timeout=at.timeout_s) as response:
            raw = response.read(MOST_BYTES + 1)
        return completion_of(raw, at.base)

    def _refuse(self, what: str, status: int | None = None) -> NoReturn:
        raise RefusedError(self._endpoint.base, what, status)


def completion_of(raw: bytes, place: str) -> Completion:
    """What an endpoint's answer says; raises `RefusedError` where it is too long or no chat completion."""
    if len(raw) > MOST_BYTES:
        raise RefusedError(place, f"answers with more than {MOST_BYTES} bytes")
    try:
        answer = json.loads(raw)
        message, usage = answer["choices"][0]["message"], answer.get("usage") or {}
        text = said_in(message)
        counted = [int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        raise RefusedError(place, "answers with something that is no chat completion") from None
    return Completion(text, *counted)


def said_in(message: Mapping[str, Any]) -> str:
    """What the model said, whole: servers of models that think give their reasoning apart, without its tags.

    Transformers does so as `reasoning_content`, vLLM with a reasoning parser as that or as `reasoning`. Nothing else is
    mended: where the reasoning did not end, or came twice, the text that is put together is of no form.
    """
    content = message.get("content", "")
    told = content if isinstance(content, str) else ""
    apart = message.get("reasoning_content") or message.get("reasoning")
    return f"<{THINK}>{apart}</{THINK}>{told}" if isinstance(apart, str) and apart else told


def seconds_of(retry_after: str | None) -> float:
    """How long the header `Retry-After` asks to wait; 0 where it gives no number."""
    try:
        return max(0.0, float(retry_after or 0.0))
    except ValueError:
        return 0.0
