"""The environment in, one frozen settings model out; every address has the prefix PRECEDENT_."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class StreamSettings(BaseSettings):
    """Where the outside parts are. Command-line options win over the environment."""

    model_config = SettingsConfigDict(env_prefix="PRECEDENT_", frozen=True, extra="ignore")

    broker: str = Field("127.0.0.1:9092", description="bootstrap servers, comma-separated HOST:PORT")
    triton: str = Field("127.0.0.1:8001", description="HOST:PORT of Triton's gRPC endpoint")
    warehouse: str = Field("", description="http://user:password@host:port/database")
    online_store: str = Field("", description="sqlite:///path or redis://host:port")
    releases: Path = Field(Path(".state/releases"), description="the folder with pointer.json")
    media_roots: str = Field("", description="folders that media may lie in, separated by ':'")
    group: str = Field("precedent-moderation", description="the workers' consumer group")
