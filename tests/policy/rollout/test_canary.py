"""Which videos a canary decides of: uniform, the same everywhere, and other ones for each release."""

import numpy as np
import pytest

from contracts.releases import Pin
from policy.rollout.canary import canary_rows, in_canary, place_of

PIN = Pin(release_version=2, casebook_version=3)
PLACE = 0.8258626
IDS = [f"video-{number}" for number in range(20_000)]


def test_places_are_uniform_over_videos() -> None:
    # 20,000 places in 20 equal cells: chi-square of 19 degrees of freedom is over 43.8 once in 1,000
    counts = np.histogram([place_of(video_id, PIN) for video_id in IDS], bins=20, range=(0, 1))[0]
    assert ((counts - 1_000) ** 2 / 1_000).sum() < 43.8


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_a_share_of_the_videos_is_in_the_canary(share: float) -> None:
    # 20,000 x 0.05 = 1,000, standard deviation 31; x 0.5 = 10,000, standard deviation 71
    assert canary_rows(IDS, PIN, share).sum() == pytest.approx(share * 20_000, abs=4 * 71)


def test_a_larger_share_keeps_the_videos_of_a_smaller_one() -> None:
    small, large = (canary_rows(IDS, PIN, share) for share in (0.05, 0.2))
    assert not (small & ~large).any()


def test_another_release_decides_of_other_videos_and_another_casebook_of_the_same() -> None:
    here = canary_rows(IDS, PIN, 0.5)
    other = canary_rows(IDS, Pin(release_version=3, casebook_version=3), 0.5)
    assert (here & other).mean() == pytest.approx(0.25, abs=0.02)
    assert (here == canary_rows(IDS, Pin(release_version=2, casebook_version=9), 0.5)).all()


def test_the_same_video_has_the_same_place_on_every_machine() -> None:
    assert place_of("video-1", PIN) == pytest.approx(PLACE, abs=1e-6)
    assert in_canary("video-1", PIN, PLACE + 1e-6)
    assert not in_canary("video-1", PIN, PLACE - 1e-6)
