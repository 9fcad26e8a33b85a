"""Which videos a simulation has, where not all are wanted."""

from contracts.taxonomy import Category
from simulation.latents import Leaning
from simulation.uploads import Simulation, chosen_latents


def test_plain_videos_of_one_category_say_in_words_and_picture_what_they_are() -> None:
    wanted = Simulation(40, 3, plain=True, only=(Category.SEXUAL_CONTENT,))
    chosen = chosen_latents(wanted)
    assert len(chosen) == 40
    assert {one.category for one in chosen} == {Category.SEXUAL_CONTENT, Category.POSITIVE}
    assert {(one.words, one.picture) for one in chosen} == {
        (Leaning.VIOLATIVE, Leaning.VIOLATIVE),
        (Leaning.BENIGN, Leaning.BENIGN),
    }
    assert [one.number for one in chosen] == sorted(one.number for one in chosen)
