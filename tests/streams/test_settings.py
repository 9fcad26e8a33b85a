"""The environment in: what names no server is refused by the variable that says so."""

import pytest

from contracts.errors import BadInputError
from streams.settings import StreamSettings


@pytest.mark.parametrize("servers", ["", "foo", "h:", ":9092", "h:9092,", "h:9092 ", "http://h:9092", "h:port"])
def test_what_names_no_server_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch, servers: str):
    monkeypatch.setenv("PRECEDENT_TRITON", servers)
    with pytest.raises(BadInputError, match=r"^PRECEDENT_TRITON: triton: Value error, '.*' must be HOST:PORT$"):
        StreamSettings.from_environment()
