"""The environment in, one `Connection` out: where Kafka is, as whom we come, and the settings of each client that goes.

Two client libraries speak to Kafka here: librdkafka (producers, bulk consumers, administration) and aiokafka under
Faust (agents). Both are told the same by this record, so that no part can be let in where another is not. Without
PRECEDENT_KAFKA_SECURITY the connection is in the clear and names nobody, as the embedded broker has it.

    PRECEDENT_BROKER                bootstrap servers, comma-separated HOST:PORT
    PRECEDENT_KAFKA_SECURITY        PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
    PRECEDENT_KAFKA_MECHANISM       PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (the default), where the security is SASL_*
    PRECEDENT_KAFKA_USERNAME        and _PASSWORD, or _PASSWORD_FILE that holds it
    PRECEDENT_KAFKA_CA              PEM file of the authorities that are trusted; without it, the system's
    PRECEDENT_KAFKA_CERT            and _KEY: PEM files of our own certificate, for mutual TLS
    PRECEDENT_KAFKA_IDEMPOTENT      false where the broker forgets its producers, as the embedded one does
"""

import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.errors import BadInputError
from contracts.secrets import secret_in

BROKER = "PRECEDENT_BROKER"
DEFAULT_BROKER = "127.0.0.1:9092"
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
DEFAULT_MECHANISM = "SCRAM-SHA-512"
_PREFIX = "PRECEDENT_KAFKA_"
_OF_SASL = ("MECHANISM", "USERNAME", "PASSWORD", "PASSWORD_FILE")
_OF_TLS = ("CA", "CERT", "KEY")
VARIABLES = tuple(_PREFIX + name for name in ("SECURITY", *_OF_SASL, *_OF_TLS, "IDEMPOTENT"))
"""What the environment may say beside where the broker is; set to nothing, each is as if it were not there."""
RECONNECTS_WITHIN_MS = 1_000
"""librdkafka's own choice, 10 s, is how long a broker that is back would still be without some of its clients."""
HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:,/\[\]]+):[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Security:
    """How a broker knows us and we know it; its text hides the password."""

    protocol: str = "PLAINTEXT"
    mechanism: str = DEFAULT_MECHANISM
    username: str = ""
    password: str = field(default="", repr=False)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def sasl(self) -> bool:
        return self.protocol.startswith("SASL_")

    @property
    def tls(self) -> bool:
        return self.protocol.endswith("SSL")


@dataclass(frozen=True, slots=True)
class Connection:
    """A Kafka cluster as a client of it needs to know it; `idempotent` says whether its producers may be."""

    servers: str
    security: Security = Security()
    idempotent: bool = True

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Connection":
        """Read the variables above; composition roots pass `os.environ`. Raises `BadInputError` naming one."""
        servers = host_ports(environment.get(BROKER, DEFAULT_BROKER), variable=BROKER)
        given = {name: environment[_PREFIX + name] for name in _names() if environment.get(_PREFIX + name)}
        idempotent = _one_of("IDEMPOTENT", given.get("IDEMPOTENT", "true").lower(), ("true", "false")) == "true"
        connection = cls(servers, _security(given), idempotent)
        connection.ssl_context()  # files that are no certificates are refused here, not by a client in the background
        return connection

    def client(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of a librdkafka client: what is given, and what reaches this cluster."""
        said: dict[str, Any] = {"bootstrap.servers": self.servers, "reconnect.backoff.max.ms": RECONNECTS_WITHIN_MS}
        security = self.security
        if security.protocol != "PLAINTEXT":
            said["security.protocol"] = security.protocol
        if security.sasl:
            said |= {
                "sasl.mechanism": security.mechanism,
                "sasl.username": security.username,
                "sasl.password": security.password,
            }
        files = {"ssl.ca": security.ca, "ssl.certificate": security.cert, "ssl.key": security.key}
        said |= {f"{name}.location": str(path) for name, path in files.items() if path is not None}
        return {**said, **settings}

    def ssl_context(self) -> ssl.SSLContext | None:
        """What aiokafka checks the cluster's certificate by; None where nothing is encrypted."""
        security = self.security
        if not security.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=security.ca)
        except (OSError, ssl.SSLError) as error:
            raise BadInputError(f"{_PREFIX}CA == {str(security.ca)!r}: no certificates in PEM: {error}") from error
        if security.cert is not None:
            try:
                context.load_cert_chain(security.cert, security.key, password=_no_passphrase)
            except (OSError, ssl.SSLError, ValueError) as error:
                raise BadInputError(
                    f"{_PREFIX}CERT == {str(security.cert)!r}: no certificate of {_PREFIX}KEY in PEM: {error}"
                ) from error
        return context


def host_ports(servers: str, *, variable: str) -> str:
    """The same text, if it names one server or more; raises `BadInputError` naming the variable."""
    for server in servers.split(","):
        if not HOST_PORT.fullmatch(server):
            raise BadInputError(f"{variable} == {servers!r}: {server!r} must be HOST:PORT")
    return servers


def _names() -> Iterable[str]:
    return (variable.removeprefix(_PREFIX) for variable in VARIABLES)


def _security(given: Mapping[str, str]) -> Security:
    """What the variables say together; two that contradict each other are refused."""
    protocol = _one_of("SECURITY", given.get("SECURITY", "PLAINTEXT"), PROTOCOLS)
    bare = Security(protocol)
    for names, use, which in ((_OF_SASL, bare.sasl, "SASL_*"), (_OF_TLS, bare.tls, "SSL or SASL_SSL")):
        if not use and (idle := [name for name in names if name in given]):
            raise BadInputError(f"{_PREFIX}{idle[0]} needs {_PREFIX}SECURITY to be {which}, it is {protocol}")
    if ("CERT" in given) != ("KEY" in given):
        alone, other = ("CERT", "KEY") if "CERT" in given else ("KEY", "CERT")
        raise BadInputError(f"{_PREFIX}{alone} needs {_PREFIX}{other}: a certificate and its key go together")
    return Security(
        protocol,
        _one_of("MECHANISM", given.get("MECHANISM", DEFAULT_MECHANISM), MECHANISMS),
        _username(given) if bare.sasl else "",
        _password(given) if bare.sasl else "",
        *(_file(name, given[name]) if name in given else None for name in _OF_TLS),
    )


def _username(given: Mapping[str, str]) -> str:
    if "USERNAME" not in given:
        raise BadInputError(f"{_PREFIX}USERNAME is not set, {_PREFIX}SECURITY == {given['SECURITY']!r} needs it")
    return given["USERNAME"]


def _password(given: Mapping[str, str]) -> str:
    name = f"{_PREFIX}PASSWORD"
    password = secret_in({_PREFIX + end: value for end, value in given.items()}, name)
    if password is None:
        raise BadInputError(f"{name} is not set, nor {name}_FILE: one of them must be")
    return password


def _file(name: str, text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise BadInputError(f"{_PREFIX}{name} == {text!r} must be a file, there is none")
    return path


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise BadInputError(f"{_PREFIX}{name} == {value!r}, must be one of {', '.join(allowed)}")
    return value


def _no_passphrase() -> bytes:
    """Instead of the question on a terminal that OpenSSL would ask."""
    raise ValueError("the key asks for a passphrase")
