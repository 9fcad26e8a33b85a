"""The environment in: what names no server is refused by the variable that says so."""

import pytest

from contracts.errors import BadInputError
from streams.settings import StreamSettings


@pytest.mark.parametrize("servers", ["h:9092", "h:9092,127.0.0.1:1", "[::1]:9092"])
def test_servers_are_host_and_port_one_or_more(monkeypatch: pytest.MonkeyPatch, servers: str):
    monkeypatch.setenv("PRECEDENT_BROKER", servers)
    assert StreamSettings.from_environment().broker == servers


@pytest.mark.parametrize("servers", ["", "foo", "h:", ":9092", "h:9092,", "h:9092 ", "http://h:9092", "h:port"])
@pytest.mark.parametrize("variable", ["PRECEDENT_BROKER", "PRECEDENT_TRITON"])
def test_what_names_no_server_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch, servers: str, variable: str):
    monkeypatch.setenv(variable, servers)
    with pytest.raises(BadInputError, match=rf"^{variable}: \w+: Value error, '.*' must be HOST:PORT$"):
        StreamSettings.from_environment()
