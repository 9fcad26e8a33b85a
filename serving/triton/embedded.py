"""A releases folder in, a Triton that serves its pointer's pins out: one started here, or one that runs elsewhere."""

import logging
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from serving.releases import ReleasesRoot
from serving.triton.configs import ServingOptions
from serving.triton.follow import PointerFollower, TritonControl
from serving.triton.repository import ModelRepository
from serving.triton.server import TritonServer

log = logging.getLogger(__name__)


class RemoteTriton:
    """A Triton that somebody else runs on a repository we share, kept on the pointer's pins by `step`."""

    def __init__(
        self, releases: Path, address: str, *, repository: Path, options: ServingOptions, grace_s: float = 10.0
    ) -> None:
        self.address = address
        models = ModelRepository(repository, options)
        self.follower = PointerFollower(ReleasesRoot(releases), models, TritonControl(address), grace_s=grace_s)

    def __enter__(self) -> Self:
        self.step()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Its models stay loaded: others are being served by them."""

    def step(self) -> None:
        self.follower.step()


class EmbeddedTriton:
    """Started on entry with what the pointer names by then, ended on exit; call `step` a few times a second.

    A server that ended by itself is started again at the same address and given its models anew.
    """

    def __init__(
        self,
        releases: Path,
        *,
        port: int = 0,
        repository: Path | None = None,
        options: ServingOptions | None = None,
        grace_s: float = 10.0,
    ) -> None:
        self._releases = ReleasesRoot(releases)
        self._options = options
        self._grace_s = grace_s
        self._folder = tempfile.TemporaryDirectory(prefix="precedent-triton-")
        work = Path(self._folder.name)
        self.server = TritonServer(repository or work / "models", work, grpc_port=port)

    def __enter__(self) -> Self:
        models = ModelRepository(self.server.repository, self._options)
        models.prune(())
        try:
            self.server.start()
            log.info("Triton answers at %s, its own log is %s", self.address, self.server.log)
            control = TritonControl(self.server.address)
            self.follower = PointerFollower(self._releases, models, control, grace_s=self._grace_s)
            self.follower.step()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def address(self) -> str:
        return self.server.address

    def step(self) -> None:
        """Start a server that ended by itself again, and follow the pointer."""
        if not self.server.running:
            log.error("Triton ended by itself and is started again")
            self.server.start()
            self.follower.forget()
        self.follower.step()

    def _end(self) -> None:
        self.server.stop()
        self._folder.cleanup()
