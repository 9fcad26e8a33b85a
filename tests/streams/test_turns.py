"""Events of one video one after the other, all others side by side; by hand, and in any order by property."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.moderation import Accepted, check
from streams.worker.patience import AbandonedError
from streams.worker.turns import Turns, ended, waves
from tests.streams.events import NOW, raw


def events(*names: str) -> list[Accepted]:
    """Events like `a1` and `b2m`: of video a or b, the last letter saying that it has media."""
    batch = [
        raw(name, video_id=f"v-{name[0]}", media_url="m.mp4" if name.endswith("m") else None, title=name)
        for name in names
    ]
    return check(batch, NOW).accepted


def titles(some: Sequence[Accepted]) -> list[str]:
    return [str(one.upload.title) for one in some]


def test_texts_of_a_video_stay_together_and_what_has_media_waits_for_what_was_before_it():
    found = waves(events("a1", "b1", "a2", "a3m", "b2", "a4", "a5m"), busy=())
    assert [titles(wave) for wave in found] == [["a1", "b1", "a2", "b2"], ["a3m"], ["a4"], ["a5m"]]


def test_what_is_of_a_busy_video_is_in_no_first_wave():
    found = waves(events("a1", "b1", "a2"), busy={"v-a"})
    assert [titles(wave) for wave in found] == [["b1"], ["a1", "a2"]]


def test_a_batch_of_which_everything_is_busy_is_one_wave():
    assert [titles(wave) for wave in waves(events("a1", "b1"), busy={"v-a", "v-b"})] == [["a1", "b1"]]
    assert waves([], busy={"v-a"}) == []


@given(st.lists(st.sampled_from(["a", "b", "c", "am", "bm", "cm"]), max_size=20), st.sets(st.sampled_from("abc")))
def test_no_wave_has_a_video_twice_but_for_texts_and_each_video_keeps_its_order(kinds: list[str], busy: set[str]):
    names = [f"{kind[0]}{n}{kind[1:]}" for n, kind in enumerate(kinds)]
    found = waves(events(*names), {f"v-{video}" for video in busy})
    assert sorted(title for wave in found for title in titles(wave)) == sorted(names)
    for video in "abc":
        of_video = [[title for title in titles(wave) if title[0] == video] for wave in found]
        assert [title for wave in of_video for title in wave] == [name for name in names if name[0] == video]
        assert all(len(wave) == 1 or not any(title.endswith("m") for title in wave) for wave in of_video)


class Taken:
    """Groups under way, each until it is let through."""

    def __init__(self) -> None:
        self.begun: list[list[str]] = []
        self.gates: dict[str, asyncio.Future[None]] = {}

    async def __call__(self, group: Sequence[Accepted]) -> None:
        self.begun.append(titles(group))
        self.gates[titles(group)[0]] = gate = asyncio.get_running_loop().create_future()
        await gate


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_group_waits_for_its_videos_and_for_no_other():
    async def scene() -> None:
        turns, taken = Turns(), Taken()
        slow = turns.begin(events("a1m"), taken, lambda: True)
        turns.begin(events("b1"), taken, lambda: True)
        later = turns.begin(events("a2", "b2"), taken, lambda: True)
        await settle()
        assert taken.begun == [["a1m"], ["b1"]]
        assert set(turns.busy) == {"v-a", "v-b"}
        taken.gates["b1"].set_result(None)
        await settle()
        assert taken.begun == [["a1m"], ["b1"]]
        taken.gates["a1m"].set_result(None)
        await settle()
        assert slow.done()
        assert taken.begun[2:] == [["a2", "b2"]]
        taken.gates["a2"].set_result(None)
        await later
        await settle()
        assert not turns.busy

    asyncio.run(scene())


def test_a_fault_of_a_batch_is_told_while_another_of_its_groups_still_waits():
    async def scene() -> None:
        waits = asyncio.create_task(asyncio.sleep(3_600))

        async def faulty() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await ended([waits, asyncio.create_task(faulty())])
        assert not waits.done()
        waits.cancel()

    asyncio.run(scene())


def test_a_batch_of_which_a_group_was_let_go_ends_when_its_other_groups_have():
    async def scene() -> None:
        taken: list[str] = []

        async def let_go() -> None:
            raise AbandonedError("not ours")

        async def go_on() -> None:
            await settle()
            taken.append("b")

        why = await ended([asyncio.create_task(let_go()), asyncio.create_task(go_on())])
        assert (str(why), taken) == ("not ours", ["b"])
        assert await ended([]) is None

    asyncio.run(scene())


@pytest.mark.parametrize("ours", [True, False])
def test_after_an_earlier_group_was_let_go_the_next_goes_on_only_if_it_is_ours(ours: bool):
    async def scene() -> list[list[str]]:
        turns, taken = Turns(), Taken()
        first = turns.begin(events("a1"), taken, lambda: False)
        second = turns.begin(events("a2"), taken, lambda: ours)
        await settle()
        taken.gates["a1"].set_exception(AbandonedError("not ours"))
        await settle()
        assert isinstance(first.exception(), AbandonedError)
        if ours:
            taken.gates["a2"].set_result(None)
            await second
        else:
            with pytest.raises(AbandonedError, match="nor was an earlier one"):
                await second
        return taken.begun

    assert asyncio.run(scene()) == ([["a1"], ["a2"]] if ours else [["a1"]])
