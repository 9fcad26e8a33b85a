"""The environment in, one way to reach Kafka out: what contradicts itself is refused by the variable that says so."""

from pathlib import Path

import pytest

from contracts.errors import BadInputError
from streams.kafka.connection import VARIABLES, Connection, Security
from streams.kafka.transport import credentials
from tests.certificates import self_signed

SCRAM = {
    "PRECEDENT_KAFKA_SECURITY": "SASL_PLAINTEXT",
    "PRECEDENT_KAFKA_USERNAME": "worker",
    "PRECEDENT_KAFKA_PASSWORD": "hunter-2",
}


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate that signed itself, and its key."""
    cert, key = self_signed(tmp_path_factory.mktemp("pem") / "own", "x")
    return str(cert), str(key)


PLAIN = {"bootstrap.servers": "127.0.0.1:9092", "reconnect.backoff.max.ms": 1_000}


def test_an_environment_that_says_nothing_is_the_embedded_brokers():
    connection = Connection.from_environment(dict.fromkeys(VARIABLES, ""))
    assert connection == Connection("127.0.0.1:9092", Security("PLAINTEXT"), idempotent=True)
    assert connection.client({"linger.ms": 2}) == {**PLAIN, "linger.ms": 2}
    assert credentials(connection) is None


@pytest.mark.parametrize("servers", ["h:9092", "h:9092,127.0.0.1:1", "[::1]:9092"])
def test_servers_are_host_and_port_one_or_more(servers: str):
    assert Connection.from_environment({"PRECEDENT_BROKER": servers}).servers == servers


@pytest.mark.parametrize("servers", ["", "foo", "h:", ":9092", "h:9092,", "h:9092 ", "http://h:9092", "h:port"])
def test_what_names_no_server_is_refused(servers: str):
    with pytest.raises(BadInputError, match=r"^PRECEDENT_BROKER == '.*': '.*' must be HOST:PORT$"):
        Connection.from_environment({"PRECEDENT_BROKER": servers})


def test_both_client_libraries_are_told_the_same(pem: tuple[str, str]):
    cert, key = pem
    connection = Connection.from_environment(
        SCRAM
        | {"PRECEDENT_KAFKA_SECURITY": "SASL_SSL", "PRECEDENT_KAFKA_MECHANISM": "SCRAM-SHA-256"}
        | {"PRECEDENT_KAFKA_CA": cert, "PRECEDENT_KAFKA_CERT": cert, "PRECEDENT_KAFKA_KEY": key}
    )
    assert connection.client({}) == PLAIN | {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "worker",
        "sasl.password": "hunter-2",
        "ssl.ca.location": cert,
        "ssl.certificate.location": cert,
        "ssl.key.location": key,
    }
    asked = credentials(connection)
    assert (asked.protocol.value, asked.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-256")
    assert (asked.username, asked.password) == ("worker", "hunter-2")
    assert asked.ssl_context.check_hostname
    assert [authority["subject"] for authority in asked.ssl_context.get_ca_certs()] == [((("commonName", "x"),),)]


def test_tls_alone_names_nobody(pem: tuple[str, str]):
    connection = Connection.from_environment({"PRECEDENT_KAFKA_SECURITY": "SSL", "PRECEDENT_KAFKA_CA": pem[0]})
    assert connection.client({}).keys() == {*PLAIN, "security.protocol", "ssl.ca.location"}
    assert credentials(connection).protocol.value == "SSL"


def test_the_password_comes_from_a_file_and_stands_in_no_text(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("p#ss word\n")
    given = SCRAM | {"PRECEDENT_KAFKA_PASSWORD": "", "PRECEDENT_KAFKA_PASSWORD_FILE": str(secret)}
    connection = Connection.from_environment(given)
    assert connection.security.password == "p#ss word"
    assert "p#ss" not in f"{connection!r} {connection} {credentials(connection)!r}"


def test_an_empty_password_file_is_refused(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("\n")
    given = SCRAM | {"PRECEDENT_KAFKA_PASSWORD": "", "PRECEDENT_KAFKA_PASSWORD_FILE": str(secret)}
    with pytest.raises(BadInputError, match=r"^PRECEDENT_KAFKA_PASSWORD_FILE == .* is empty, must hold a secret$"):
        Connection.from_environment(given)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"SECURITY": "TLS"}, "SECURITY == 'TLS', must be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ({"SECURITY": "PLAINTEXT"}, "USERNAME needs PRECEDENT_KAFKA_SECURITY to be SASL_*, it is PLAINTEXT"),
        ({"SECURITY": "SSL"}, "USERNAME needs PRECEDENT_KAFKA_SECURITY to be SASL_*, it is SSL"),
        ({"SECURITY": ""}, "USERNAME needs PRECEDENT_KAFKA_SECURITY to be SASL_*, it is PLAINTEXT"),
        ({"CA": "ca.pem"}, "CA needs PRECEDENT_KAFKA_SECURITY to be SSL or SASL_SSL, it is SASL_PLAINTEXT"),
        ({"MECHANISM": "GSSAPI"}, "MECHANISM == 'GSSAPI', must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ({"USERNAME": ""}, "USERNAME is not set, PRECEDENT_KAFKA_SECURITY == 'SASL_PLAINTEXT' needs it"),
        ({"PASSWORD": ""}, "PASSWORD is not set, nor PRECEDENT_KAFKA_PASSWORD_FILE: one of them must be"),
        ({"PASSWORD_FILE": "x"}, "PASSWORD and PRECEDENT_KAFKA_PASSWORD_FILE are both given, must be one of them"),
        ({"SECURITY": "SASL_SSL", "CA": "/none"}, "CA == '/none' must be a file, there is none"),
        ({"SECURITY": "SASL_SSL", "CA": __file__}, f"CA == '{__file__}': no certificates in PEM: "),
        ({"SECURITY": "SASL_SSL", "CERT": __file__}, "CERT needs PRECEDENT_KAFKA_KEY: a certificate and its key"),
        ({"SECURITY": "SASL_SSL", "KEY": __file__}, "KEY needs PRECEDENT_KAFKA_CERT: a certificate and its key"),
        ({"IDEMPOTENT": "yes"}, "IDEMPOTENT == 'yes', must be one of true, false"),
    ],
)
def test_what_contradicts_itself_is_refused_by_its_variable(change: dict[str, str], words: str):
    given = SCRAM | {f"PRECEDENT_KAFKA_{name}": value for name, value in change.items()}
    with pytest.raises(BadInputError) as refused:
        Connection.from_environment(given)
    assert str(refused.value).startswith(f"PRECEDENT_KAFKA_{words}")
    assert "hunter-2" not in str(refused.value)


def test_a_key_of_another_certificate_is_refused(pem: tuple[str, str], tmp_path: Path):
    _, other = self_signed(tmp_path / "other", "x")
    given = {"PRECEDENT_KAFKA_SECURITY": "SSL", "PRECEDENT_KAFKA_CERT": pem[0], "PRECEDENT_KAFKA_KEY": str(other)}
    with pytest.raises(BadInputError, match=r"^PRECEDENT_KAFKA_CERT == .*: no certificate of PRECEDENT_KAFKA_KEY"):
        Connection.from_environment(given)
