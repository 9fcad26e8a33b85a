"""Read what a ClickHouse HTTP request asks for: who sends it, which session, settings, parameters and format."""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from warehouse.owner.errors import Code, refuse
from warehouse.owner.wire.bodies import FormFile

# URL parameters of the protocol itself; every other one is a setting of the engine.
_RESERVED = frozenset(
    {
        "buffer_size",
        "client_protocol_version",
        "close_session",
        "compress",
        "database",
        "decompress",
        "default_format",
        "password",
        "query",
        "query_id",
        "quota_key",
        "role",
        "session_check",
        "session_id",
        "session_timeout",
        "stacktrace",
        "user",
        "wait_end_of_query",
    }
)
_PARAMETER = "param_"
_MAX_SESSION_S = 3_600.0
_DEFAULT_SESSION_S = 60.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """The one user of an embedded warehouse."""

    user: str
    password: str = field(repr=False)

    def check(self, user: str, password: str) -> None:
        """Raise `ClickHouseError` 516 unless both agree; the time taken does not tell which differs."""
        same_user = hmac.compare_digest(user.encode(), self.user.encode())
        same_password = hmac.compare_digest(password.encode(), self.password.encode())
        if not (same_user and same_password):
            raise refuse(
                Code.AUTHENTICATION_FAILED,
                f"{user}: Authentication failed: password is incorrect, or there is no user with such name",
            )


def given_credentials(headers: Mapping[str, str], url: Mapping[str, str]) -> tuple[str, str] | None:
    """User and password as sent: in X-ClickHouse headers, basic authorization or the URL, in this order."""
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return headers.get("x-clickhouse-user", "default"), headers.get("x-clickhouse-key", "")
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password
    if scheme:
        return "", ""
    if "user" in url or "password" in url:
        return url.get("user", "default"), url.get("password", "")
    return None


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """Rows sent along with a query, which it sees as a temporary table."""

    name: str
    structure: str
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """One request's URL and form, sorted."""

    query: str
    query_id: str
    database: str | None
    session_id: str | None
    session_timeout_s: float
    session_check: bool
    close_session: bool
    default_format: str
    whole: bool
    settings: Mapping[str, str]
    params: Mapping[str, str]
    external: tuple[ExternalTable, ...] = ()

    @property
    def stops_with_client(self) -> bool:
        """Whether a query that only reads ends when its client goes away: unless it is told not to."""
        return self.settings.get("cancel_http_readonly_queries_on_client_close", "1") not in {"0", "false"}


def read_request(
    headers: Mapping[str, str], url: Mapping[str, str], form: Mapping[str, str], files: list[FormFile], *, query_id: str
) -> Asked:
    """Sort the parameters of a request; raises `ClickHouseError` for those this process does not have."""
    given = {**url, **form}
    for name in ("compress", "decompress"):
        if given.get(name, "0") not in {"0", "false"}:
            raise refuse(Code.NOT_IMPLEMENTED, f"{name} == {given[name]!r}, use Content-Encoding instead")
    external = tuple(_external(file, given) for file in files)
    described = {f"{table.name}_{part}" for table in external for part in ("structure", "types", "format")}
    return Asked(
        query=given.get("query", ""),
        query_id=given.get("query_id") or query_id,
        database=given.get("database") or headers.get("x-clickhouse-database"),
        session_id=given.get("session_id") or None,
        session_timeout_s=_session_timeout(given.get("session_timeout")),
        session_check=given.get("session_check") == "1",
        close_session=given.get("close_session") == "1",
        default_format=given.get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated",
        whole=given.get("wait_end_of_query", "0") not in {"0", "false"},
        settings={
            name: value
            for name, value in given.items()
            if name not in _RESERVED and name not in described and not name.startswith(_PARAMETER)
        },
        params={name.removeprefix(_PARAMETER): value for name, value in given.items() if name.startswith(_PARAMETER)},
        external=external,
    )


def _session_timeout(given: str | None) -> float:
    try:
        seconds = _DEFAULT_SESSION_S if given is None else float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MAX_SESSION_S:
        raise refuse(Code.INVALID_SESSION_TIMEOUT, f"session_timeout == {given!r}, must be 0 to {_MAX_SESSION_S:.0f} s")
    return seconds


def _external(file: FormFile, given: Mapping[str, str]) -> ExternalTable:
    structure = given.get(f"{file.name}_structure")
    if structure is None and f"{file.name}_types" in given:
        types = given[f"{file.name}_types"].split(",")
        structure = ", ".join(f"_{n} {type_}" for n, type_ in enumerate(types, start=1))
    if not structure or not re.fullmatch(r"[A-Za-z_]\w*", file.name):
        raise refuse(
            Code.BAD_REQUEST_PARAMETER,
            f"External table {file.name!r}, must be a name with {file.name}_structure or {file.name}_types beside it",
        )
    return ExternalTable(file.name, structure, given.get(f"{file.name}_format", "TabSeparated"), file.data)
