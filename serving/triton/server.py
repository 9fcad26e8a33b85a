"""The embedded Triton: the server binary of the nvidia-pytriton wheel, in a process of its own, on loopback."""

import contextlib
import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from contracts.errors import DependencyError

LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1
_LIBRARIES = "nvidia_pytriton.libs"
# Beside PATH, what the server's environment is made of.
_INHERITED = ("HOME", "LANG", "TMPDIR", "TZ")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the server listens, all on loopback."""

    grpc: int
    http: int
    metrics: int


@dataclass(slots=True)
class TritonServer:
    """A Triton process that serves a model repository under explicit model control.

    `work` keeps the backend's files and the log. The server ends with this process, however that ends.
    """

    repository: Path
    work: Path
    grpc_port: int = 0
    ports: Ports | None = None
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False, repr=False)
    # The kernel ends a child with the thread that started it, so that thread stays.
    _starter: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "triton-starter"), repr=False)

    @property
    def address(self) -> str:
        """HOST:PORT of gRPC."""
        if self.ports is None:
            raise DependencyError("the embedded Triton was not started")
        return f"{LOOPBACK}:{self.ports.grpc}"

    @property
    def log(self) -> Path:
        return self.work / "tritonserver.log"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self, *, timeout_s: float = 60.0) -> None:
        """Start the server, or start it anew where it listened before, and wait until it answers.

        Raises `DependencyError` with the end of its log.
        """
        self.stop()
        for attempt in range(3):
            ports = self.ports or _free_ports(self.grpc_port)
            self._process = self._starter.submit(self._spawn, ports).result()
            if self._answers(ports.grpc, timeout_s):
                self.ports = ports
                return
            taken = "already in use" in self._log_end()
            self.stop()
            if not taken or attempt == 2:
                raise DependencyError(f"the embedded Triton did not start ({self.log}): {self._log_end()}")

    def stop(self, *, timeout_s: float = 15.0) -> None:
        """End the server and its model processes: asked first, then by force; stopping twice is fine."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout_s)
        with contextlib.suppress(ProcessLookupError):  # the model processes of a killed server outlive it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._remove_shared_memory()

    def _spawn(self, ports: Ports) -> "subprocess.Popen[bytes]":
        home = _wheel()
        backends = _lay_out_backends(home, self.work)
        self.repository.mkdir(parents=True, exist_ok=True)
        self._remove_shared_memory()
        options = {
            "model-repository": self.repository,
            "model-control-mode": "explicit",
            "backend-directory": backends,
            "http-address": LOOPBACK,
            "grpc-address": LOOPBACK,
            "metrics-address": LOOPBACK,
            "http-port": ports.http,
            "grpc-port": ports.grpc,
            "metrics-port": ports.metrics,
            "allow-gpu-metrics": "false",
            "cuda-memory-pool-byte-size": "0:0",
            "pinned-memory-pool-byte-size": 0,
            "http-thread-count": 1,
            "exit-timeout-secs": 5,
            "log-format": "ISO8601",
        }
        arguments = [str(home / "bin" / "tritonserver")]
        arguments += [f"--{name}={value}" for name, value in options.items()]
        arguments += ["--disable-auto-complete-config"]
        arguments += [f"--backend-config=python,shm-region-prefix-name={self._shared_memory_prefix}"]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,
                preexec_fn=_end_with_parent(),  # noqa: PLW1509  one system call, no lock is taken
            )

    def _answers(self, port: int, timeout_s: float) -> bool:
        import tritonclient.grpc as triton
        from tritonclient.utils import InferenceServerException

        until = time.monotonic() + timeout_s
        with triton.InferenceServerClient(f"{LOOPBACK}:{port}") as client:
            while time.monotonic() < until and self.running:
                try:
                    if client.is_server_live(client_timeout=1.0) and self.running:
                        return True
                except InferenceServerException:
                    time.sleep(0.05)
        return False

    def _log_end(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " | ".join(line.strip() for line in lines[-3:])

    @property
    def _shared_memory_prefix(self) -> str:
        return f"precedent_{os.getpid()}_{self.repository.resolve().stat().st_ino}_"

    def _remove_shared_memory(self) -> None:
        """Remove the regions of this server's model processes, and of servers whose owner is gone."""
        for region in Path("/dev/shm").glob("precedent_*_*_*"):
            owner = region.name.split("_")[1]
            if region.name.startswith(self._shared_memory_prefix) or not Path("/proc", owner).exists():
                region.unlink(missing_ok=True)


def _wheel() -> Path:
    found = importlib.util.find_spec("pytriton")
    if found is None or not found.submodule_search_locations:
        raise DependencyError("the embedded Triton needs the package nvidia-pytriton (extra 'embedded')")
    return Path(found.submodule_search_locations[0]) / "tritonserver"


def _lay_out_backends(home: Path, work: Path) -> Path:
    """Copy the Python backend with this Python's stub; its run path finds the wheel's libraries by a link."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = home / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        raise DependencyError(f"nvidia-pytriton has no Python backend for Python {version}")
    backend = work / "pytriton" / "tritonserver" / "backends" / "python"
    backend.mkdir(parents=True, exist_ok=True)
    for source in (*(home / "backends" / "python").iterdir(), stub):
        if source.is_file() and not (backend / source.name).exists():
            shutil.copy2(source, backend / source.name)
    libraries = work / _LIBRARIES
    libraries.unlink(missing_ok=True)
    libraries.symlink_to(home.parent.parent / _LIBRARIES)
    return backend.parent


def _environment() -> dict[str, str]:
    """Put this Python first on the path and its shared library where the stub looks for it."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    library = shared_python()
    return {
        **inherited,
        **({"LD_LIBRARY_PATH": library} if library else {}),
        "PATH": os.pathsep.join(folders),
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def shared_python() -> str:
    """The folder of this Python's shared library; "" where the loader finds it by itself."""
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    folder = Path(sysconfig.get_config_var("LIBDIR") or "")
    for place in (folder, Path(sys.prefix) / "lib"):
        if (place / name).exists():
            return str(place)
    try:
        ctypes.CDLL(name)
    except OSError:
        raise DependencyError(
            f"the embedded Triton needs {name}, and neither {folder} nor the system has it: "
            "install it (Debian: libpython3.11) or use a Python built with a shared library"
        ) from None
    return ""


def _free_ports(grpc_port: int) -> Ports:
    with socket.socket() as grpc, socket.socket() as http, socket.socket() as metrics:
        for sock, port in ((grpc, grpc_port), (http, 0), (metrics, 0)):
            # connections of a server that was killed keep the port for a minute, which no listener minds
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((LOOPBACK, port))
            except OSError as error:
                raise DependencyError(f"{LOOPBACK}:{port} cannot be listened on: {error.strerror}") from None
        return Ports(*(sock.getsockname()[1] for sock in (grpc, http, metrics)))


def _end_with_parent() -> Callable[[], None]:
    """What the child calls first: the kernel ends it when the thread that started it is gone."""
    prctl = ctypes.CDLL(None).prctl

    def call() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return call
