"""The release pointer in, a Triton that serves its pins out: published, loaded, and unloaded after a grace."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from contracts.errors import BadInputError, DependencyError
from contracts.releases import Pin, ReleasePointer
from serving.releases import ReleasesRoot
from serving.triton.repository import ModelRepository, ensemble_name, model_names

log = logging.getLogger(__name__)


class ModelControl(Protocol):
    """Loads and unloads models of a running server, and says whether one answers."""

    def load(self, name: str) -> None: ...

    def unload(self, name: str) -> None: ...

    def ready(self, name: str) -> bool: ...


class TritonControl:
    """Triton's model control API at a gRPC address; a refused load is a `BadInputError`."""

    def __init__(self, address: str, *, timeout_s: float = 300.0) -> None:
        self._address = address
        self._timeout_s = timeout_s

    def load(self, name: str) -> None:
        self._call("load_model", name)

    def unload(self, name: str) -> None:
        self._call("unload_model", name)

    def ready(self, name: str) -> bool:
        import tritonclient.grpc as triton
        from tritonclient.utils import InferenceServerException

        with triton.InferenceServerClient(self._address) as client:
            try:
                return bool(client.is_model_ready(name, client_timeout=5.0))
            except InferenceServerException:
                return False

    def _call(self, method: str, name: str) -> None:
        import tritonclient.grpc as triton
        from tritonclient.utils import InferenceServerException

        with triton.InferenceServerClient(self._address) as client:
            try:
                getattr(client, method)(name, client_timeout=self._timeout_s)
            except InferenceServerException as error:
                kind = DependencyError if "UNAVAILABLE" in str(error.status()) else BadInputError
                raise kind(f"{name}: {error.message()} (Triton {self._address})") from error


def pins_of(pointer: ReleasePointer) -> list[Pin]:
    """The pins that must be served, live first."""
    named = (pointer.live, pointer.canary, pointer.shadow)
    return list(dict.fromkeys(pin for pin in named if pin is not None))


@dataclass(slots=True)
class PointerFollower:
    """Keeps a repository and its server on the pointer's pins; call `step` a few times a second.

    A pin that breaks is reported once and tried again every `retry_s`; what served before goes on serving. As
    often it is checked that the server still has its models: one that was started anew gets them again.
    """

    root: ReleasesRoot
    repository: ModelRepository
    control: ModelControl
    grace_s: float = 10.0
    retry_s: float = 5.0
    clock: Callable[[], float] = time.monotonic
    served: set[Pin] = field(default_factory=set)
    broken: dict[Pin, str] = field(default_factory=dict)
    _wanted: list[Pin] = field(default_factory=list)
    _seen: tuple[int, int] | None = None
    _loaded: set[str] = field(default_factory=set)
    _unwanted_since: dict[Pin, float] = field(default_factory=dict)
    _retry_at: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether the pointer was read and every pin that it names is served."""
        return bool(self._wanted) and self.served.issuperset(self._wanted)

    def step(self) -> None:
        """Bring what is served one step nearer to what the pointer names."""
        if self._pointer_moved():
            self._retry_at = 0.0
        if self.clock() >= self._retry_at:
            if not all(self.control.ready(ensemble_name(pin)) for pin in self.served):
                log.warning("the server lost its models and is given them anew")
                self.forget()
            for pin in self._wanted:
                if pin not in self.served:
                    self._serve(pin)
            self._retry_at = self.clock() + self.retry_s
        self._retire()

    def forget(self) -> None:
        """The server was started anew: nothing is loaded any more."""
        self.served.clear()
        self._loaded.clear()
        self._unwanted_since.clear()
        self._retry_at = 0.0

    def _pointer_moved(self) -> bool:
        path = self.root.pointer_path
        try:
            stat = path.stat()
        except FileNotFoundError:
            return False
        if (stat.st_mtime_ns, stat.st_ino) == self._seen:
            return False
        self._seen = (stat.st_mtime_ns, stat.st_ino)
        try:
            self._wanted = pins_of(self.root.read_pointer())
        except BadInputError as error:
            log.error("%s: the pins served before stay", error)
            return False
        return True

    def _serve(self, pin: Pin) -> None:
        try:
            folder, casebook = self.root.open_pin(pin)
            self.repository.publish(pin, folder.student, casebook, folder.release.inputs)
            for name in model_names(pin):
                if name not in self._loaded:
                    self._load(name)
        except BadInputError as error:
            if self.broken.get(pin) != str(error):
                log.error("%r is not served: %s", pin, error)
            self.broken[pin] = str(error)
        except DependencyError as error:
            log.warning("%r is not served yet: %s", pin, error)
        else:
            self.broken.pop(pin, None)
            self.served.add(pin)
            log.info("%r is served", pin)

    def _load(self, name: str) -> None:
        try:
            self.control.load(name)
        except BadInputError:
            self.repository.remove(name)
            raise
        self._loaded.add(name)

    def _retire(self) -> None:
        """Unload what no pin needs; pins no longer named are kept for a grace, and while a named one is broken."""
        now = self.clock()
        wanted = set(self._wanted)
        whole = wanted <= self.served
        for pin in self.served:
            if pin in wanted or not whole:
                self._unwanted_since.pop(pin, None)
            elif now - self._unwanted_since.setdefault(pin, now) >= self.grace_s:
                del self._unwanted_since[pin]
        self.served = {pin for pin in self.served if pin in wanted or not whole or pin in self._unwanted_since}
        needed = {name for pin in self.served | wanted for name in model_names(pin)}
        for name in sorted(self._loaded - needed, key=lambda name: not name.startswith("precedent")):
            self._unload(name)

    def _unload(self, name: str) -> None:
        try:
            self.control.unload(name)
        except (BadInputError, DependencyError) as error:
            log.warning("%s", error)
        self._loaded.discard(name)
        self.repository.remove(name)
        log.info("%s is unloaded", name)
