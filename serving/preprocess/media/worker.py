"""One decoding process: an address in, small frames out through shared memory, under limits the kernel enforces.

Started by `DecodePool` as `python -P -m serving.preprocess.media.worker SETTINGS`. A decoder that spins in C is
killed by the profiling timer; a process that ran out of memory and stays swollen leaves with its own exit code; the
parent's death kills it. Before the first file it gives up all that `sandbox` names; whatever is imported while it
decodes is imported before, for no file outside the media roots can be opened afterwards.
"""

import contextlib
import ctypes
import importlib
import mmap
import os
import pkgutil
import resource
import signal
import socket
import sys
from pathlib import Path

from contracts.errors import DependencyError
from serving.preprocess.media import wire
from serving.preprocess.media.addresses import resolve_media
from serving.preprocess.media.container import DecodeLimits
from serving.preprocess.media.refusals import MediaError, MediaReason
from serving.preprocess.media.sandbox import LANDLOCK, SECCOMP, confine, identities

_PR_SET_PDEATHSIG = 1


def serve(settings: wire.WorkerSettings) -> None:
    """Answer requests until the parent closes its end."""
    import av

    from serving.preprocess.media.frames import decode_frames

    av.logging.set_level(av.logging.PANIC)
    _warm_up(DecodeLimits())
    limits = DecodeLimits(**settings.limits)  # type: ignore[arg-type]
    roots = [Path(root) for root in settings.roots]
    channel = socket.socket(fileno=settings.socket_fd)
    memory = mmap.mmap(settings.memory_fd, settings.memory_bytes)
    os.close(settings.memory_fd)
    statm = os.open("/proc/self/statm", os.O_RDONLY)
    readable = identities(roots)
    roomy = _limit_memory(int(settings.limits["memory_bytes"]), statm)
    held = confine(roots)
    channel.send(_words(0, wire.READY, *sorted({LANDLOCK, SECCOMP} - held)))
    while request := channel.recv(wire.MESSAGE_BYTES):
        if LANDLOCK in held and identities(roots) != readable:
            os._exit(wire.ROOTS_CHANGED)  # a store was mounted meanwhile: only a fresh process may read it
        (slot,) = wire.REQUEST.unpack_from(request)
        address = request[wire.REQUEST.size :].decode("utf-8", "surrogatepass")
        if memory[settings.moved_at(slot)]:
            channel.send(wire.REPLY.pack(slot, wire.MOVED, 0))
            continue
        signal.setitimer(signal.ITIMER_PROF, settings.kill_after_cpu_s)
        reason: MediaReason | None = None
        try:
            frames = decode_frames(resolve_media(address, roots), settings.n_frames, settings.frame_px, limits)
        except MediaError as refusal:
            reply, reason = _words(slot, wire.REFUSED, refusal.reason.value, refusal.detail), refusal.reason
        except DependencyError as away:
            reply = _words(slot, wire.STORE_AWAY, str(away))
        except MemoryError:
            reply, reason = (
                _words(slot, wire.REFUSED, MediaReason.MEMORY.value, "ran out of memory"),
                MediaReason.MEMORY,
            )
        else:
            at = slot * settings.slot_bytes
            memory[at : at + frames.nbytes] = frames.tobytes()
            reply = wire.REPLY.pack(slot, wire.FRAMES, len(frames))
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        if reason is MediaReason.MEMORY and _size_bytes(statm) > roomy:
            os._exit(wire.OUT_OF_MEMORY)  # what earlier files left behind may be to blame: try a fresh process
        channel.send(reply)


def _warm_up(limits: DecodeLimits) -> None:
    """Import what decoding ever imports: all of PyAV, and what odd addresses, a film and one that is none call for."""
    import ipaddress  # noqa: F401 - `urlsplit` fetches it at the first host in brackets,
    import unicodedata  # noqa: F401 - and this at the first host that is not ASCII

    import av
    import numpy.ma  # at the first `unique`

    from serving.preprocess.media.frames import decode_frames

    for address in ("http://[::1]/", "http://[v1.a]/", "//\u2100/", "//é/", "\0", "\ud800"):
        with contextlib.suppress(MediaError):
            resolve_media(address, [])
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith((".__main__", ".datasets")):
            importlib.import_module(module.name)
    film = os.memfd_create("film")
    path = Path(f"/proc/self/fd/{film}")
    for times in (), range(4), (0, 90, 91, 92):
        os.ftruncate(film, 0)
        os.pwrite(film, b"no film", 0)
        if times:
            with av.open(str(path), "w", format="mp4") as out:
                stream = out.add_stream("mpeg4", rate=10)
                stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
                for at in times:
                    frame = av.VideoFrame.from_ndarray(numpy.zeros((16, 16, 3), numpy.uint8), "rgb24")
                    frame.pts = at
                    out.mux(stream.encode(frame))
                out.mux(stream.encode())
        with contextlib.suppress(MediaError):
            decode_frames(path, 4, 16, limits)
    os.close(film)


def _words(slot: int, kind: int, *words: str) -> bytes:
    text = "\0".join(words).encode("utf-8", "replace")
    return wire.REPLY.pack(slot, kind, 0) + text[: wire.MESSAGE_BYTES // 2]


def _limit_memory(memory_bytes: int, statm: int) -> int:
    """From here on: so much memory more, and killed when its time is up.

    Returns the size in bytes up to which the process counts as fresh.
    """
    size = _size_bytes(statm)
    resource.setrlimit(resource.RLIMIT_AS, (size + memory_bytes, size + memory_bytes))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    return size + memory_bytes // 4


def _size_bytes(statm: int) -> int:
    """Of this process's address space, by the open file that tells it."""
    return int(os.pread(statm, 128, 0).split()[0]) * mmap.PAGESIZE


def _die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent is gone, however it went (Linux)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(wire.FORSAKEN)


if __name__ == "__main__":
    _settings = wire.WorkerSettings.from_argument(sys.argv[1])
    _die_with(_settings.parent_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(_settings)
