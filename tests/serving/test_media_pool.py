"""DecodePool with real processes: order, limits, dead workers, and nothing left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.errors import DependencyError
from serving.preprocess.media import (
    DecodeLimits,
    DecodePool,
    MediaError,
    MediaReason,
    PoolSettings,
    decode_all,
    decode_frames,
)
from tests.serving.media_files import picture, write_video


def run(steps: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(steps, 60))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def has_ended(pid: int, within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(pid)


def reason(answer: object) -> MediaReason:
    assert isinstance(answer, MediaError), answer
    return answer.reason


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short films a0 to a5 of 1 to 6 frames, a film that takes seconds to decode, and a bad file."""
    root = tmp_path_factory.mktemp("films")
    for n in range(6):
        write_video(root / f"a{n}.mp4", [picture(40 + 20 * i) for i in range(n + 1)])
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (360, 640, 3), dtype=np.uint8) for _ in range(4)]
    write_video(root / "slow.mp4", [noise[i % 4] for i in range(300)], gop=1000)
    (root / "bad.mp4").write_bytes(b"not a video" * 100)
    return root


def short(root: Path) -> list[str]:
    return [str(root / f"a{n}.mp4") for n in range(6)]


def test_answers_come_in_order_and_equal_decoding_in_this_process(root: Path) -> None:
    addresses = [*short(root)[:3], str(root / "bad.mp4"), (root / "a5.mp4").as_uri(), "http://x/y.mp4", *short(root)]
    answers = decode_all(addresses, PoolSettings(roots=(root,), n_workers=2))
    assert reason(answers[3]) is MediaReason.UNREADABLE
    assert reason(answers[5]) is MediaReason.SCHEME_REFUSED
    for place in (0, 1, 2, 4, 6, 11):
        answer = answers[place]
        assert not isinstance(answer, MediaError)
        path = Path(addresses[place].removeprefix("file://"))
        assert np.array_equal(answer, decode_frames(path))
    assert [len(answer) for answer in answers[6:] if not isinstance(answer, MediaError)] == [1, 2, 3, 4, 5, 6]


def test_a_slow_file_is_killed_by_the_kernel_and_the_others_go_on(root: Path) -> None:
    async def steps() -> None:
        settings = PoolSettings(roots=(root,), n_workers=2, kill_after_cpu_s=0.3)
        async with DecodePool(settings) as pool:
            slow = str(root / "slow.mp4")
            answers = await pool.decode([slow, *short(root), slow, *short(root)])
            assert reason(answers[0]) is reason(answers[7]) is MediaReason.TIMEOUT
            rest = [answer for at, answer in enumerate(answers) if at not in {0, 7}]
            assert [len(answer) for answer in rest if not isinstance(answer, MediaError)] == [1, 2, 3, 4, 5, 6] * 2
            assert len(pool.pids) == 2

    run(steps())


def test_the_time_limit_refuses_before_the_process_must_be_killed(root: Path) -> None:
    async def steps() -> None:
        settings = PoolSettings(roots=(root,), limits=DecodeLimits(cpu_s=0.05), kill_after_cpu_s=20.0)
        async with DecodePool(settings) as pool:
            before = pool.pids
            (answer,) = await pool.decode([str(root / "slow.mp4")])
            assert reason(answer) is MediaReason.TIMEOUT
            assert pool.pids == before

    run(steps())


def test_a_slow_file_does_not_hold_up_what_was_queued_behind_it(root: Path) -> None:
    async def steps() -> None:
        settings = PoolSettings(roots=(root,), n_workers=2, ahead=4, kill_after_cpu_s=30.0)
        async with DecodePool(settings) as pool:
            slow = asyncio.create_task(pool.decode([str(root / "slow.mp4")]))
            rest = asyncio.create_task(pool.decode(short(root)))
            done, _ = await asyncio.wait({slow, rest}, return_when=asyncio.FIRST_COMPLETED)
            assert done == {rest}
            slow.cancel()

    run(steps())


def test_memory_beyond_the_limit_is_refused_and_the_pool_goes_on(root: Path) -> None:
    limits = DecodeLimits(memory_bytes=12 << 20)
    answers = decode_all([str(root / "slow.mp4"), *short(root)[:2]], PoolSettings(roots=(root,), limits=limits))
    assert reason(answers[0]) is MediaReason.MEMORY
    assert [len(answer) for answer in answers[1:] if not isinstance(answer, MediaError)] == [1, 2]


def test_a_worker_killed_once_loses_nothing(root: Path) -> None:
    async def steps() -> None:
        settings = PoolSettings(roots=(root,), n_workers=1, limits=DecodeLimits(cpu_s=30))
        async with DecodePool(settings) as pool:
            decoding = asyncio.create_task(pool.decode([str(root / "slow.mp4"), *short(root)]))
            await asyncio.sleep(0.1)
            first = pool.pids[0]
            os.kill(first, signal.SIGKILL)
            answers = await decoding
            assert [len(answer) for answer in answers if not isinstance(answer, MediaError)] == [9, 1, 2, 3, 4, 5, 6]
            assert pool.pids != (first,)

    run(steps())


def test_a_file_over_which_two_processes_die_is_refused(root: Path) -> None:
    async def steps() -> None:
        settings = PoolSettings(roots=(root,), n_workers=1, limits=DecodeLimits(cpu_s=30))
        async with DecodePool(settings) as pool:
            decoding = asyncio.create_task(pool.decode([str(root / "slow.mp4"), *short(root)]))
            for _ in range(2):
                await pool.start()  # waits for a ready worker
                victim = pool.pids[0]
                os.kill(victim, signal.SIGSEGV)
                while pool.pids == (victim,):  # noqa: ASYNC110 - there is no event for this from outside
                    await asyncio.sleep(0.01)
            answers = await decoding
            assert reason(answers[0]) is MediaReason.CRASHED
            assert "SIGSEGV" in str(answers[0])
            assert [len(answer) for answer in answers[1:] if not isinstance(answer, MediaError)] == [1, 2, 3, 4, 5, 6]

    run(steps())


def test_a_stopped_worker_is_noticed_and_replaced(root: Path) -> None:
    async def steps() -> None:
        async with DecodePool(PoolSettings(roots=(root,), stall_s=1.5)) as pool:
            stopped = pool.pids[0]
            os.kill(stopped, signal.SIGSTOP)
            answers = await pool.decode(short(root)[:2])
            assert not any(isinstance(answer, MediaError) for answer in answers)
            assert not is_alive(stopped)

    run(steps())


def test_two_stalls_over_a_file_are_the_stores_fault(root: Path) -> None:
    async def steps() -> None:
        async with DecodePool(PoolSettings(roots=(root,), stall_s=1.5)) as pool:
            os.kill(pool.pids[0], signal.SIGSTOP)
            decoding = asyncio.create_task(pool.decode([str(root / "slow.mp4")]))
            first = pool.pids
            while pool.pids == first:  # noqa: ASYNC110 - there is no event for this from outside
                await asyncio.sleep(0.01)
            await pool.start()
            os.kill(pool.pids[0], signal.SIGSTOP)
            with pytest.raises(DependencyError, match="without a byte"):
                await decoding

    run(steps())


def test_a_missing_root_makes_the_batch_wait(root: Path, tmp_path: Path) -> None:
    async def steps() -> None:
        gone = tmp_path / "gone"
        async with DecodePool(PoolSettings(roots=(gone, root))) as pool:
            with pytest.raises(DependencyError, match="is not there"):
                await pool.decode([short(root)[0], str(gone / "a.mp4")])
            assert len(await pool.decode(short(root))) == 6

    run(steps())


def test_closing_ends_every_process_and_answers_who_waits(root: Path) -> None:
    async def steps() -> None:
        pool = DecodePool(PoolSettings(roots=(root,), n_workers=2))
        await pool.start()
        pids = pool.pids
        waiting = asyncio.create_task(pool.decode([str(root / "slow.mp4")] * 9))
        await asyncio.sleep(0.05)
        await pool.close()
        with pytest.raises(DependencyError, match="closed"):
            await waiting
        assert len(pids) == 2
        assert not any(is_alive(pid) for pid in pids)

    run(steps())


def test_a_cancelled_caller_does_not_disturb_the_next(root: Path) -> None:
    async def steps() -> None:
        async with DecodePool(PoolSettings(roots=(root,), limits=DecodeLimits(cpu_s=0.3))) as pool:
            gone = asyncio.create_task(pool.decode([str(root / "slow.mp4")] * 3))
            await asyncio.sleep(0.05)
            gone.cancel()
            assert [len(answer) for answer in await pool.decode(short(root))] == [1, 2, 3, 4, 5, 6]  # type: ignore[arg-type]

    run(steps())


def test_workers_die_with_a_parent_that_is_killed(root: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from serving.preprocess.media import DecodePool, PoolSettings
async def main():
    pool = DecodePool(PoolSettings(roots=(Path({str(root)!r}),), n_workers=2, kill_after_cpu_s=60.0))
    await pool.start()
    task = asyncio.create_task(pool.decode([{str(root / "slow.mp4")!r}] * 8))
    await asyncio.sleep(0.1)
    print(*pool.pids, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
    assert all(has_ended(pid) for pid in pids)


def test_a_pool_of_one_loop_refuses_another(root: Path) -> None:
    pool = DecodePool(PoolSettings(roots=(root,)))

    async def use() -> None:
        await pool.decode(short(root)[:1])
        await pool.close()

    run(use())
    with pytest.raises(RuntimeError, match="another"):
        run(use())


def test_workers_that_cannot_start_are_a_dependency_that_is_away(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps() -> None:
        pool = DecodePool(PoolSettings(roots=(root,)))
        monkeypatch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(DependencyError, match="do not start"):
            await pool.decode(short(root))
        monkeypatch.undo()
        assert len(await pool.decode(short(root))) == 6  # the next call starts anew
        await pool.close()

    run(steps())
