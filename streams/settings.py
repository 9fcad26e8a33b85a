"""The environment in, one frozen settings model out; every address has the prefix PRECEDENT_."""

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.errors import BadInputError, first_reason
from contracts.secrets import secret_in
from streams.kafka.connection import HOST_PORT


def _host_ports(servers: str) -> str:
    if broken := [server for server in servers.split(",") if not HOST_PORT.fullmatch(server)]:
        msg = f"{broken[0]!r} must be HOST:PORT"
        raise ValueError(msg)
    return servers


class StreamSettings(BaseSettings):
    """Where the streams find the other parts, but for Kafka and the features, which have records of their own.

    triton: HOST:PORT of its gRPC endpoint.
    warehouse: http://user:password@host:port/database, or PRECEDENT_WAREHOUSE_FILE with a file that holds it.
    releases: the folder with pointer.json.
    media_roots: folders that media may lie in, separated by `:`.   group: the workers' consumer group.
    """

    model_config = SettingsConfigDict(env_prefix="PRECEDENT_", frozen=True, extra="ignore")

    triton: Annotated[str, AfterValidator(_host_ports)] = "127.0.0.1:8001"
    warehouse: Annotated[str, Field(repr=False)] = ""
    releases: Path = Path(".state/releases")
    media_roots: str = ""
    group: str = "precedent-moderation"

    @classmethod
    def from_environment(cls, *, releases: Path | None = None) -> Self:
        """Read the environment; an option that was given wins. Raises `BadInputError` naming the variable."""
        try:
            warehouse = secret_in(os.environ, "PRECEDENT_WAREHOUSE") or ""
            return cls(warehouse=warehouse) if releases is None else cls(warehouse=warehouse, releases=releases)
        except ValidationError as error:
            variable = "_".join(map(str, ("PRECEDENT", *error.errors()[0]["loc"]))).upper()
            raise BadInputError(f"{variable}: {first_reason(error)}") from error

    @property
    def media_folders(self) -> tuple[Path, ...]:
        return tuple(Path(part) for part in self.media_roots.split(":") if part)
