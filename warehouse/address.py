"""Read a warehouse's address, connect a client to it: embedded process and ClickHouse server alike."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from contracts.errors import BadInputError, CheckFailedError, DependencyError
from contracts.secrets import secret_in, shown_address

VARIABLE = "PRECEDENT_WAREHOUSE"
"""Of the environment: where the warehouse is; it may stand in a file instead, which PRECEDENT_WAREHOUSE_FILE names."""
DEFAULT_DATABASE = "precedent"
_DATABASE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_FORM = "http://user:password@host:port/database"
# ClickHouse: UNKNOWN_DATABASE, and what a wrong user or password gives.
_UNKNOWN_DATABASE = 81
_REFUSED_USER = frozenset({192, 193, 194, 516})
# Out of time, connections, memory, disk or parts, read-only or cancelled for now: it may be answered later.
_BUSY = frozenset({75, 159, 202, 209, 210, 236, 241, 242, 243, 252, 394, 999})

Client = Any
"""A `clickhouse_connect` client; the rooms' functions name the few methods that they call as Protocols."""


@dataclass(frozen=True, slots=True)
class WarehouseAddress:
    """Where a warehouse answers the ClickHouse HTTP protocol, and as whom; its text hides the password."""

    host: str
    port: int
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = DEFAULT_DATABASE
    secure: bool = False

    @property
    def url(self) -> str:
        """The whole address, password included: for a child's environment, never for a log."""
        return self._written(quote(self.password, safe=""))

    def __str__(self) -> str:
        return self._written("***" if self.password else "")

    def _written(self, password: str) -> str:
        scheme = "https" if self.secure else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        shown = f":{password}" if password else ""
        return f"{scheme}://{quote(self.user, safe='')}{shown}@{host}:{self.port}/{self.database}"


def address_in(environment: Mapping[str, str]) -> WarehouseAddress:
    """The address that an environment gives; raises `BadInputError` where it gives none, or one that is wrong."""
    if not (text := secret_in(environment, VARIABLE)):
        raise BadInputError(f"{VARIABLE} is not set, must be {_FORM}")
    return parse_address(text)


def parse_address(text: str, *, place: str = VARIABLE) -> WarehouseAddress:
    """Read `http://user:password@host:port/database`; raises `BadInputError` naming `place` and the rule.

    Everything but scheme and host may be missing: port 8123 (https 8443), user `default` without a password,
    database `precedent`. User and password may be percent-encoded.
    """
    shown = shown_address(text)
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:  # its words may quote a password
        raise BadInputError(f"{place} == {shown!r}, must be {_FORM}, the port at most 65535") from None
    if parts.scheme not in {"http", "https"}:
        raise BadInputError(f"{place} == {shown!r}, scheme must be http or https ({_FORM})")
    if not parts.hostname:
        raise BadInputError(f"{place} == {shown!r}, must name a host ({_FORM})")
    if parts.query or parts.fragment:
        raise BadInputError(f"{place} == {shown!r}, must end with the database ({_FORM})")
    database = unquote(parts.path.strip("/")) or DEFAULT_DATABASE
    if not _DATABASE.fullmatch(database):
        rule = "must be a letter or _, then at most 63 letters, digits and _"
        named = "***" if "@" in database else database  # a password with a `/` in it, that was not written as %2F
        raise BadInputError(f"{place} == {shown!r}: database == {named!r}, {rule}")
    secure = parts.scheme == "https"
    return WarehouseAddress(
        host=parts.hostname,
        port=port or (8443 if secure else 8123),
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=database,
        secure=secure,
    )


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn a client's errors into ours, saying `what` was asked of the warehouse.

    `DependencyError` when it does not answer or cannot answer now, `BadInputError` when it refuses user or database,
    `CheckFailedError` for what it refuses for other reasons.
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

    try:
        yield
    except OperationalError as error:
        raise DependencyError(f"{what}: the warehouse does not answer: {first_line(error)}") from error
    except ClickHouseError as error:
        if error.code in _REFUSED_USER:
            raise BadInputError(f"{what}: the warehouse refuses this user or password") from error
        if error.code == _UNKNOWN_DATABASE:
            raise BadInputError(f"{what}: no such database, run `precedent warehouse migrate`") from error
        if error.code in _BUSY:
            raise DependencyError(f"{what}: {first_line(error)}") from error
        raise CheckFailedError(f"{what}: {first_line(error)}") from error


def connect(address: WarehouseAddress, *, database: str | None = None, timeout_s: float = 30.0) -> Client:
    """A client of `address` that several threads may share; `database` replaces the address's own.

    Raises as `asking` does.
    """
    import clickhouse_connect

    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # what it logs it also raises, and we say
    with asking(str(address)):
        return clickhouse_connect.get_client(
            host=address.host,
            port=address.port,
            username=address.user,
            password=address.password,
            database=database or address.database,
            interface="https" if address.secure else "http",
            connect_timeout=5,
            send_receive_timeout=timeout_s,
            # Requests of one session exclude each other; none of ours needs what a session keeps.
            autogenerate_session_id=False,
        )


def first_line(error: Exception) -> str:
    """The first line of an error's text, at most 300 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
