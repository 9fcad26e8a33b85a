"""Seats: who waits longest is next, who gives up loses none, a stop refuses all that wait."""

import asyncio

import pytest

from warehouse.owner.admission import Admission
from warehouse.owner.errors import ClickHouseError


def test_seats_are_given_in_the_order_of_asking() -> None:
    async def story() -> list[str]:
        admission = Admission(1, 10)
        order: list[str] = []

        async def sit(name: str) -> None:
            await admission.take()
            order.append(name)
            await asyncio.sleep(0)
            admission.give_back()

        async with asyncio.TaskGroup() as tasks:
            for name in "abc":
                tasks.create_task(sit(name))
        return order

    assert asyncio.run(story()) == ["a", "b", "c"]


def test_who_waits_too_long_is_told_how_many_run_and_for_how_long_it_waited() -> None:
    async def story() -> None:
        admission = Admission(2, 0.01)
        await admission.take()
        await admission.take()
        await admission.take()

    with pytest.raises(ClickHouseError, match=r"2 are running, at most 2 may, and none ended within 0.01 s") as refused:
        asyncio.run(story())
    assert (refused.value.code, refused.value.status) == (202, 503)


def test_a_seat_that_comes_as_its_taker_gives_up_is_not_lost() -> None:
    async def story() -> None:
        admission = Admission(1, 10)
        await admission.take()
        waiting = asyncio.create_task(admission.take())
        await asyncio.sleep(0)
        admission.give_back()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(1):
            await admission.take()

    asyncio.run(story())


def test_a_stop_refuses_who_waits_and_who_comes_and_lets_who_sits_end() -> None:
    async def story() -> list[int]:
        admission = Admission(1, 10)
        await admission.take()
        waiting = asyncio.create_task(admission.take())
        await asyncio.sleep(0)
        admission.close()
        codes = []
        for one in (waiting, admission.take()):
            with pytest.raises(ClickHouseError) as refused:
                await one
            codes.append(refused.value.code)
        admission.give_back()
        return codes

    assert asyncio.run(story()) == [236, 236]
