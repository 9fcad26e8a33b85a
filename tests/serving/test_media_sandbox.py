"""What a decode process gave up, tried for real in a process of its own; and what a parent believes of it."""

import asyncio
import ctypes
import json
import mmap
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import DependencyError
from serving.preprocess.media import DecodePool, MediaError, MediaReason, PoolSettings, wire
from serving.preprocess.media.process import WorkerProcess
from serving.preprocess.media.sandbox import filter_lines
from tests.serving.media_files import picture, write_video

TRIED = """
import ctypes, fcntl, json, mmap, os, socket, subprocess, sys, threading
from pathlib import Path
from serving.preprocess.media.sandbox import confine
root, outside, peer = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
answers = {}
def attempt(name, call):
    try:
        call()
        answers[name] = "done"
    except BaseException as error:
        answers[name] = getattr(error, "errno", None) or type(error).__name__
libc = ctypes.CDLL(None, use_errno=True)
def by_libc(name, *arguments):
    def call():
        if getattr(libc, name)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), name)
    return call
held = confine([root])
attempt("read inside", lambda: (root / "film.mp4").read_bytes())
attempt("read outside", lambda: outside.read_bytes())
attempt("read own environment", lambda: open("/proc/self/environ").read())
attempt("read through a link", lambda: (root / "link").read_bytes())
attempt("write inside", lambda: (root / "new").write_bytes(b""))
attempt("make a folder", lambda: (root / "folder").mkdir())
attempt("delete", lambda: (root / "film.mp4").unlink())
attempt("list", lambda: os.listdir(outside.parent))
attempt("connect", lambda: socket.create_connection(("127.0.0.1", 9)))
attempt("unix socket", lambda: socket.socket(socket.AF_UNIX))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
attempt("exec", lambda: os.execv("/bin/true", ["true"]))
attempt("spawn", lambda: subprocess.run(["/bin/true"]))
attempt("fork", os.fork)
attempt("thread", lambda: threading.Thread(target=int).start())
attempt("kill", lambda: os.kill(peer, 0))
attempt("signal by a file", lambda: fcntl.fcntl(0, fcntl.F_SETOWN, peer))
attempt("signal of choice", lambda: fcntl.fcntl(0, 10, 9))  # F_SETSIG, SIGKILL
attempt("signal by a folder", lambda: fcntl.fcntl(os.open(root, os.O_RDONLY), fcntl.F_NOTIFY, 1))
attempt("trace", by_libc("ptrace", 16, peer, 0, 0))
attempt("code", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC))
attempt("memfd", lambda: os.memfd_create("x"))
attempt("more memory", lambda: __import__("resource").setrlimit(7, (4096, 4096)))
attempt("namespace", by_libc("unshare", 0x10000000))
sys.stdout.write(json.dumps({"held": sorted(held), "answers": answers}))
sys.stdout.flush()
os._exit(0)
"""
EPERM, EACCES = 1, 13


def has_landlock() -> bool:
    """Whether this kernel lends Landlock, which it answers with the version that it knows."""
    return int(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1))) >= 1


def proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("films")
    write_video(root / "film.mp4", [picture(60)] * 3)
    return root


def test_a_confined_process_reads_media_and_can_do_nothing_else(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_text("the password")
    (root / "link").symlink_to(outside)
    argv = [sys.executable, "-c", TRIED, str(root), str(outside), str(os.getpid())]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    if found["held"] != ["landlock", "seccomp"]:
        pytest.skip(f"this kernel lends an unprivileged process only {found['held']}")
    answers = found["answers"]
    assert answers.pop("read inside") == "done"
    # how Python puts a thread and a limit that the kernel refuses
    assert answers.pop("thread") == "RuntimeError"
    assert answers.pop("more memory") == "ValueError"
    assert set(answers.values()) <= {EPERM, EACCES}, answers
    assert len(answers) == 21
    assert outside.read_text() == "the password"
    assert (root / "film.mp4").exists()


def test_a_decode_process_is_told_no_secret_of_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRECEDENT_WAREHOUSE", "http://u:a-password@127.0.0.1:1/d")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")

    async def steps() -> None:
        async with DecodePool(PoolSettings(roots=(root,))) as pool:
            [pid] = pool.pids
            told = proc(pid, "environ") + proc(pid, "cmdline")
            assert "a-password" not in told
            assert "another-secret" not in told
            assert "OMP_NUM_THREADS=1" in told

    asyncio.run(steps())


def test_a_worker_of_a_pool_is_confined_with_few_open_files(root: Path) -> None:
    async def steps() -> None:
        async with DecodePool(PoolSettings(roots=(root,))) as pool:
            for pid in pool.pids:
                status = proc(pid, "status")
                assert "NoNewPrivs:\t1" in status
                assert "Seccomp:\t2" in status
                assert "Max open files            32" in proc(pid, "limits")
                assert len(os.listdir(f"/proc/{pid}/fd")) <= 6

    asyncio.run(steps())


def test_a_root_that_comes_up_later_is_read_by_a_fresh_process(root: Path, tmp_path: Path) -> None:
    late = tmp_path / "late"

    async def steps() -> None:
        async with DecodePool(PoolSettings(roots=(late,))) as pool:
            before = pool.pids
            with pytest.raises(DependencyError, match="is not there"):
                await pool.decode([str(late / "film.mp4")])
            late.mkdir()
            write_video(late / "film.mp4", [picture(60)] * 3)
            [frames] = await pool.decode([str(late / "film.mp4")])
            assert not isinstance(frames, MediaError)
            assert len(frames) == 3
            assert (pool.pids != before) == has_landlock(), "without it the first process may read what came up"

    asyncio.run(asyncio.wait_for(steps(), 60))


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\x00",
        wire.REPLY.pack(0, wire.READY, 0),
        wire.REPLY.pack(7, wire.FRAMES, 1),
        wire.REPLY.pack(0, wire.FRAMES, 0),
        wire.REPLY.pack(0, wire.FRAMES, 65_535),
        wire.REPLY.pack(0, wire.MOVED, 0),
        wire.REPLY.pack(0, 9, 0),
        wire.REPLY.pack(0, wire.REFUSED, 0) + b"no_such_reason\0words",
        wire.REPLY.pack(0, wire.REFUSED, 0) + b"timeout",
        wire.REPLY.pack(0, wire.STORE_AWAY, 0) + b"\xff",
    ],
)
def test_what_no_sound_worker_says_is_not_believed(reply: bytes, busy: WorkerProcess) -> None:
    with pytest.raises(wire.GarbledReplyError):
        busy.understood(reply)


@given(st.binary(max_size=64))
def test_any_bytes_of_a_worker_are_a_sound_reply_or_garbled(reply: bytes) -> None:
    worker = _worker(1)
    try:
        said = worker.understood(reply)
    except wire.GarbledReplyError:
        return
    finally:
        worker.memory.close()
    assert said.slot == 0
    assert said.kind != wire.FRAMES or 1 <= said.count <= 9


def test_a_worker_that_talks_garbage_is_ended_and_its_file_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a decoder that was taken over by the file: it claims more frames than its shared memory holds
    (tmp_path / "taken.py").write_text(
        textwrap.dedent("""
        import socket, sys
        from serving.preprocess.media import wire
        channel = socket.socket(fileno=wire.WorkerSettings.from_argument(sys.argv[1]).socket_fd)
        channel.send(wire.REPLY.pack(0, wire.READY, 0))
        while request := channel.recv(wire.MESSAGE_BYTES):
            channel.send(wire.REPLY.pack(wire.REQUEST.unpack_from(request)[0], wire.FRAMES, 60_000))
    """)
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("serving.preprocess.media.process._WORKER", "taken")

    async def steps() -> None:
        async with DecodePool(PoolSettings(roots=(root,))) as pool:
            [answer] = await pool.decode([str(root / "film.mp4")])
            assert isinstance(answer, MediaError)
            assert answer.reason is MediaReason.CRASHED
            assert "frames == 60000, must be from 1 to 9" in answer.detail
            monkeypatch.undo()
            again = await pool.decode([str(root / "film.mp4")] * 2)
            assert all(not isinstance(one, MediaError) or one.reason is MediaReason.CRASHED for one in again)
            assert [
                len(one) for one in await pool.decode([str(root / "film.mp4")]) if not isinstance(one, MediaError)
            ] == [3]

    asyncio.run(asyncio.wait_for(steps(), 60))


def test_a_worker_cannot_shrink_the_memory_that_its_parent_reads(root: Path) -> None:
    async def steps() -> None:
        async with DecodePool(PoolSettings(roots=(root,))) as pool:
            assert len(pool.pids) == 1
            try:
                fd = os.open(f"/proc/self/map_files/{_mapping('precedent-frames')}", os.O_RDWR)
            except PermissionError:
                pytest.skip("only root with CAP_SYS_ADMIN, which containers lack, may open a mapping by its address")
            try:
                with pytest.raises(PermissionError):
                    os.ftruncate(fd, 0)
            finally:
                os.close(fd)
            [answer] = await pool.decode([str(root / "film.mp4")])
            assert not isinstance(answer, MediaError)

    asyncio.run(steps())


def test_the_filter_of_each_architecture_ends_in_a_refusal_and_allows_no_socket() -> None:
    for machine, refused in {
        "x86_64": {41, 42, 56, 57, 58, 59, 435, 62, 101, 321, 425},
        "aarch64": {198, 203, 220, 221},
    }.items():
        lines = filter_lines(machine)
        assert lines[-1] == (0x06, 0, 0, 0x00050001)
        assert not refused & {operand for code, _, _, operand in lines if code == 0x15}


@pytest.fixture
def busy() -> WorkerProcess:
    return _worker(1)


def _worker(tasks: int) -> WorkerProcess:
    """A ready worker's record as its parent keeps it, with a task in each of the first slots."""
    told = wire.WorkerSettings(0, 0, 0, (), 9, 8, 3, 1.0, {})
    memory = mmap.mmap(-1, told.memory_bytes)
    channel = socket.socket.__new__(socket.socket)
    worker = WorkerProcess(None, channel, memory, told, 0.0, [1, 2], ready=True)
    worker.given.update({slot: object() for slot in range(tasks)})
    return worker


def _mapping(name: str) -> str:
    for line in Path("/proc/self/maps").read_text().splitlines():
        if name in line:
            low, high = line.split()[0].split("-")
            return f"{int(low, 16):x}-{int(high, 16):x}"
    raise AssertionError(name)
