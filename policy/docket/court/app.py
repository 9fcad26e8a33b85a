"""One request in, one answer of the docket out: who asks by their token, what they may by their role.

    GET  /cases                     in the order in which to rule; ?status=waiting|settled|all&reason=&at_most=
    GET  /cases/{id}                the whole file
    GET  /cases/{id}/frames/{n}.png a frozen frame
    POST /cases/{id}/rulings        {"category", "reasoning", "confidence", "leaf"}
    POST /rulings/{id}/overrule     {"case_id", "category", "reasoning", "leaf"}
    POST /cases/{id}/leaf           {"leaf"}
    POST /videos/{id}/appeals       {"author_id", "statement"}
    GET  /audit                     ?after=&at_most=

Errors are `{"error": one line}`: 401 without a good token, 403 for another role's action, 404 for what is not there,
409 for what breaks a rule of the court, 413 and 422 for a body too large or not understood, 503 while the docket is
busy. Frozen frames that the docket lost, or that are not what was frozen, are 410: the request is right, the picture
was here, and asking again will not bring it back (RFC 9110, 15.5.11). The same ruling or appeal again gets 200 instead
of 201, and the same answer.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeVar

from anyio import to_thread
from pydantic import Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.cases import CaseReason
from contracts.errors import BadInputError, DependencyError, first_reason, printable
from contracts.records import Id, Probability, Record
from contracts.taxonomy import Category
from policy.docket.court.pictures import png
from policy.docket.docket import Docket
from policy.docket.frames import FramesLostError
from policy.docket.principals import Action, NotAllowedError, Principal, Tokens
from policy.docket.rules import AppealRefusedError, RulingRefusedError, UnknownCaseError
from policy.docket.sessions import appeal_against, label_case, rule_on
from policy.docket.telling import Told, summary, told
from policy.growth.leaves.accepted import AcceptedLeaves, read_accepted

R = TypeVar("R", bound=Record)
T = TypeVar("T")
Answer = Callable[[Request, Principal], Response]
_log = logging.getLogger(__name__)
MAX_BODY_BYTES = 64 << 10
MAX_CASES = 1_000
_STATUSES: Mapping[str, bool | None] = {"waiting": True, "settled": False, "all": None}
_REASONS: Mapping[str, CaseReason] = {reason.value: reason for reason in CaseReason}
_PLAIN = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}


LeafName = Annotated[str, Field(max_length=1_000)]
"""An accepted leaf by its id, label or name."""


class RulingAsked(Record):
    """The body of a ruling."""

    category: Category
    reasoning: Annotated[str, Field(max_length=20_000)] = ""
    confidence: Probability = 1.0
    leaf: LeafName = ""


class OverruleAsked(Record):
    """The body of a ruling that replaces the one in the path."""

    case_id: Id
    category: Category
    reasoning: Annotated[str, Field(max_length=20_000)] = ""
    leaf: LeafName = ""


class LeafAsked(Record):
    """The body that names the leaf of what was ruled; empty takes it away."""

    leaf: LeafName


class AppealAsked(Record):
    """The body of an appeal."""

    author_id: Id
    statement: Annotated[str, Field(max_length=2_000)] = ""


class UnauthenticatedError(BadInputError):
    """A request without a token that somebody has."""


class Court:
    """The routes over one docket; the docket's work runs in threads.

    `taxonomy` is the folder of accepted leaves, read anew when one is named.
    """

    def __init__(
        self, docket: Docket, tokens: Tokens, *, now: Callable[[], datetime], taxonomy: Path | None = None
    ) -> None:
        self._docket = docket
        self._tokens = tokens
        self._now = now
        self._taxonomy = taxonomy

    def app(self) -> Starlette:
        routes = [
            self._route("/cases", "GET", Action.READ, self.cases),
            self._route("/cases/{case_id}", "GET", Action.READ, self.case),
            self._route("/cases/{case_id}/frames/{number:int}.png", "GET", Action.READ, self.frame),
            self._route("/cases/{case_id}/rulings", "POST", Action.RULE, self.rule),
            self._route("/cases/{case_id}/leaf", "POST", Action.RULE, self.label),
            self._route("/rulings/{ruling_id}/overrule", "POST", Action.OVERRULE, self.overrule),
            self._route("/videos/{video_id}/appeals", "POST", Action.APPEAL, self.appeal),
            self._route("/audit", "GET", Action.READ_AUDIT, self.audit),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _unrouted, 500: _unrouted})

    def cases(self, request: Request, _: Principal) -> Response:
        asked = request.query_params
        waiting = _one_of(asked.get("status", "waiting"), _STATUSES, "status")
        reason = _one_of(asked["reason"], _REASONS, "reason") if "reason" in asked else None
        at_most = _number(asked.get("at_most", "100"), "at_most", low=1, high=MAX_CASES)
        files = self._docket.listed(waiting=waiting, reason=reason, at_most=at_most)
        return _json({"cases": [summary(file) for file in files], "waiting": self._docket.depth().waiting})

    def case(self, request: Request, _: Principal) -> Response:
        return _json(told(self._docket.file(request.path_params["case_id"])))

    def frame(self, request: Request, _: Principal) -> Response:
        file, number = self._docket.file(request.path_params["case_id"]), request.path_params["number"]
        digest = file.opened.evidence.frames_digest if file.opened.evidence else None
        clip = self._docket.frames(digest) if digest and file.upload.author_id != "erased" else ()
        if number >= len(clip):
            raise UnknownCaseError(f"case {file.opened.case_id} has {len(clip)} frames, there is no frame {number}")
        return Response(png(clip[number]), media_type="image/png", headers=_PLAIN)

    def rule(self, request: Request, principal: Principal) -> Response:
        body = _read(request, RulingAsked)
        return self._ruled(request.path_params["case_id"], body, principal, confidence=body.confidence, overrules=None)

    def overrule(self, request: Request, principal: Principal) -> Response:
        body, falls = _read(request, OverruleAsked), request.path_params["ruling_id"]
        return self._ruled(body.case_id, body, principal, confidence=1.0, overrules=falls)

    def label(self, request: Request, principal: Principal) -> Response:
        body, case_id = _read(request, LeafAsked), request.path_params["case_id"]
        leaves = self._leaves()
        if leaves is None:
            raise BadInputError("leaf: this court has no taxonomy, start it with one")
        return _json(told(label_case(self._docket, case_id, body.leaf, principal, leaves=leaves, now=self._now())))

    def _leaves(self) -> AcceptedLeaves | None:
        return None if self._taxonomy is None else read_accepted(self._taxonomy)

    def _ruled(
        self,
        case_id: str,
        body: RulingAsked | OverruleAsked,
        principal: Principal,
        *,
        confidence: float,
        overrules: str | None,
    ) -> Response:
        now = self._now()
        file = rule_on(
            self._docket,
            case_id,
            body.category,
            body.reasoning,
            principal,
            confidence=confidence,
            overrules=overrules,
            leaf=body.leaf,
            leaves=self._leaves() if body.leaf else None,
            now=now,
        )
        assert file.ruling is not None
        return _json(told(file), status=201 if file.ruling.ruled_at == now else 200)

    def appeal(self, request: Request, principal: Principal) -> Response:
        body, now = _read(request, AppealAsked), self._now()
        video_id = request.path_params["video_id"]
        appeal = appeal_against(self._docket, video_id, body.author_id, body.statement, principal, now=now)
        return _json(appeal.model_dump(mode="json"), status=201 if appeal.appealed_at == now else 200)

    def audit(self, request: Request, _: Principal) -> Response:
        after = _number(request.query_params.get("after", "0"), "after", low=0, high=2**53)
        at_most = _number(request.query_params.get("at_most", "100"), "at_most", low=1, high=10_000)
        return _json({"entries": [entry._asdict() for entry in islice(self._docket.audit(after=after), at_most)]})

    def _route(self, path: str, method: str, action: Action, answer: Answer) -> Route:
        async def handle(request: Request) -> Response:
            try:
                request.state.body = await _body(request)
                return await to_thread.run_sync(partial(self._answer, request, action, answer))
            except ClientDisconnect:
                return Response(status_code=400)

        return Route(path, handle, methods=[method])

    def _answer(self, request: Request, action: Action, answer: Answer) -> Response:
        try:
            principal = self._who(request)
            principal.require(action)
            if isinstance(request.state.body, int):
                return _refusal(413, f"body is over {MAX_BODY_BYTES} bytes, must be less")
            return answer(request, principal)
        except Exception as error:  # noqa: BLE001 - each becomes an answer; what is a bug of ours is logged
            return _failed(error)

    def _who(self, request: Request) -> Principal:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            raise UnauthenticatedError("Authorization is missing, must be: Bearer TOKEN")
        try:
            return self._tokens.who(token.strip())
        except NotAllowedError as error:
            raise UnauthenticatedError("token is not known, must be one that was issued and not revoked") from error


def _failed(error: Exception) -> Response:
    """The answer to what went wrong; only a fault of ours is logged, and no header or body ever is."""
    statuses: tuple[tuple[type[Exception], int], ...] = (
        (UnauthenticatedError, 401),
        (NotAllowedError, 403),
        (UnknownCaseError, 404),
        (RulingRefusedError, 409),
        (AppealRefusedError, 409),
        (BadInputError, 422),
        (DependencyError, 503),
    )
    status = next((status for kind, status in statuses if isinstance(error, kind)), None)
    if isinstance(error, FramesLostError):
        _log.error("frozen evidence is lost: %s", error)
        return _refusal(410, error.told)
    if status is None:
        _log.error("a request failed inside this process", exc_info=error)
        return _refusal(500, "the court's own fault, see its log")
    if status == 503:
        _log.warning("the docket is busy: %s", error)
        return _refusal(503, "the docket is busy, try again")
    return _refusal(status, str(error))


async def _unrouted(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _refusal(
            error.status_code, f"{request.method} {printable(request.url.path, at_most=200)}: {error.detail}"
        )
    return _refusal(500, "the court's own fault, see its log")


async def _body(request: Request) -> bytes | int:
    """The body, or how much of it came when it was too large."""
    parts, size = list[bytes](), 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            return size
        parts.append(part)
    return b"".join(parts)


def _read(request: Request, contract: type[R]) -> R:
    try:
        return contract.model_validate_json(request.state.body)
    except ValidationError as error:
        raise BadInputError(f"body: {first_reason(error)}") from error


def _one_of(given: str, allowed: Mapping[str, T], name: str) -> T:
    if given not in allowed:
        raise BadInputError(f"{name} == {printable(given, at_most=40)!r}, must be one of {', '.join(allowed)}")
    return allowed[given]


def _number(given: str, name: str, *, low: int, high: int) -> int:
    if not (given.isascii() and given.isdigit() and len(given) < 20 and low <= int(given) <= high):
        raise BadInputError(f"{name} == {printable(given, at_most=40)!r}, must be a whole number in [{low}, {high}]")
    return int(given)


def _json(record: Told, *, status: int = 200) -> Response:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, headers=_PLAIN, media_type="application/json")


def _refusal(status: int, why: str) -> Response:
    answer = _json({"error": printable(why, at_most=2_000)}, status=status)
    if status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="precedent court"'
    return answer
