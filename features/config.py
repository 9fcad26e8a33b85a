"""The environment in, where features are kept out: one frozen record, which every part of the room is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from contracts.errors import BadInputError
from contracts.secrets import secret_in, shown_address

DEFAULT_ONLINE = "sqlite:///.state/features/online.db"
DEFAULT_OFFLINE = "parquet:///.state/features/history"
TLS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"})
"""What may follow the `?` of a rediss:// address; a name and a password stand before its host and nowhere else."""


@dataclass(frozen=True, slots=True)
class FeaturesConfig:
    """Where features are kept; its text never shows a password.

    online: `sqlite:///relative/path`, `sqlite:////absolute/path` or `redis://[user:password@]host:port[/db]`, with TLS
    `rediss://…[?ssl_ca_certs=FILE]`. What a URL cannot hold stands in it as %XX.
    offline: `parquet:///folder`, by the same rule, or the warehouse: `http://user:password@host:port/database`.
    registry: Feast's registry file; beside the SQLite file, or under .state, unless given.
    writer: HOST:PORT of the process that owns the SQLite file.
    """

    online: str = field(default=DEFAULT_ONLINE, repr=False)
    offline: str = field(default=DEFAULT_OFFLINE, repr=False)
    registry: Path | None = None
    writer: str | None = None
    write_deadline_s: float = 5.0

    def __post_init__(self) -> None:
        scheme = self.online.partition(":")[0]
        if scheme not in {"sqlite", "redis", "rediss"}:
            msg = f"online store == {self.shown_online!r}, must be sqlite:///PATH or redis://HOST:PORT"
            raise BadInputError(msg)
        if scheme == "sqlite":
            _ = self.sqlite_path
        else:
            _check_server(self.online, f"online store == {self.shown_online!r}")
            _check_redis(self.online, f"online store == {self.shown_online!r}")
        offline = self.offline.partition(":")[0]
        if offline in {"http", "https"}:
            _check_server(self.offline, "offline store")
        elif offline != "parquet":
            shown = shown_address(self.offline)
            msg = f"offline store == {shown!r}, must be parquet:///FOLDER or http://USER:PASSWORD@HOST:PORT/DB"
            raise BadInputError(msg)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "FeaturesConfig":
        """Read the `PRECEDENT_` addresses; composition roots pass `os.environ`.

        Each store's address may stand in a file instead, which PRECEDENT_ONLINE_STORE_FILE and so on name. The offline
        store is PRECEDENT_OFFLINE_STORE, else the warehouse, else a folder of Parquet.
        """
        registry = environment.get("PRECEDENT_FEATURES_REGISTRY")
        return cls(
            online=secret_in(environment, "PRECEDENT_ONLINE_STORE") or DEFAULT_ONLINE,
            offline=secret_in(environment, "PRECEDENT_OFFLINE_STORE")
            or secret_in(environment, "PRECEDENT_WAREHOUSE")
            or DEFAULT_OFFLINE,
            registry=Path(registry) if registry else None,
            writer=environment.get("PRECEDENT_FEATURES_WRITER") or None,
        )

    @property
    def redis_url(self) -> str | None:
        return None if self.online.startswith("sqlite:") else self.online

    @property
    def shown_online(self) -> str:
        """The online address without its password and options, for messages."""
        return self.online if self.online.startswith("sqlite:") else shown_address(self.online).replace("***@", "")

    @property
    def sqlite_path(self) -> Path:
        return _path(self.online, "online store")

    @property
    def history_folder(self) -> Path | None:
        """Where the Parquet histories lie; None where the warehouse keeps them."""
        return _path(self.offline, "offline store") if self.offline.startswith("parquet:") else None

    @property
    def registry_path(self) -> Path:
        if self.registry is not None:
            return self.registry.absolute()
        if self.redis_url is not None:
            return Path(".state/features/registry.db").absolute()
        return self.sqlite_path.with_name(self.sqlite_path.name + ".registry")


def _check_server(address: str, what: str) -> None:
    """Raise `BadInputError` unless a URL names a host, and a port that is one where it names any."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:  # its words may quote a password
        raise BadInputError(f"{what}: must be a URL, its port at most 65535") from None
    if not host:
        raise BadInputError(f"{what}: must name a host")


def _check_redis(address: str, what: str) -> None:
    """Raise `BadInputError` unless the database is a number and the options are those of TLS."""
    parts = urlsplit(address)
    if (database := parts.path.strip("/")) and not database.isdigit():
        raise BadInputError(f"{what}: database == {database!r}, must be a number")
    options = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    known = TLS_OPTIONS if parts.scheme == "rediss" else frozenset()
    if strangers := sorted(options - known):
        allowed = ", ".join(sorted(TLS_OPTIONS))
        raise BadInputError(f"{what}: option {strangers[0]!r}, must be one of {allowed} (rediss:// only)")


def _path(address: str, what: str) -> Path:
    _, separator, path = address.partition(":///")
    if not separator or not path:
        msg = f"{what} == {address!r}, must be {address.partition(':')[0]}:///PATH"
        raise BadInputError(msg)
    return Path(path).absolute()
