"""One decoding process: an address in, small frames out through shared memory, under limits the kernel enforces.

Started by `DecodePool` as `python -P -m serving.preprocess.media.worker SETTINGS`. A decoder that spins in C is
killed by the profiling timer; a process that ran out of memory and stays swollen leaves with its own exit code; the
parent's death kills it.
"""

import ctypes
import mmap
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from serving.preprocess.media import wire

_PR_SET_PDEATHSIG = 1


def serve(settings: wire.WorkerSettings) -> None:
    """Answer requests until the parent closes its end."""
    import av

    from contracts.errors import DependencyError
    from serving.preprocess.media.addresses import resolve_media
    from serving.preprocess.media.container import DecodeLimits
    from serving.preprocess.media.frames import decode_frames
    from serving.preprocess.media.refusals import MediaError, MediaReason

    av.logging.set_level(av.logging.PANIC)
    limits = DecodeLimits(**settings.limits)  # type: ignore[arg-type]
    roots = [Path(root) for root in settings.roots]
    channel = socket.socket(fileno=settings.socket_fd)
    memory = mmap.mmap(settings.memory_fd, settings.memory_bytes)
    roomy = _limit_process(int(settings.limits["memory_bytes"]))
    channel.send(wire.REPLY.pack(0, wire.READY, 0))
    while request := channel.recv(wire.MESSAGE_BYTES):
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
        if reason is MediaReason.MEMORY and _size_bytes() > roomy:
            os._exit(wire.OUT_OF_MEMORY)  # what earlier files left behind may be to blame: try a fresh process
        channel.send(reply)


def _words(slot: int, kind: int, *words: str) -> bytes:
    text = "\0".join(words).encode("utf-8", "replace")
    return wire.REPLY.pack(slot, kind, 0) + text[: wire.MESSAGE_BYTES // 2]


def _limit_process(memory_bytes: int) -> int:
    """From here on: so much memory more, no core dump, no file written, killed when its time is up.

    Returns the size in bytes up to which the process counts as fresh.
    """
    size = _size_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (size + memory_bytes, size + memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    return size + memory_bytes // 4


def _size_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


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
