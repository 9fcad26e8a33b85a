"""Reasons of simulated rulings: each leads, in the form that all read, to what the video truly is."""

from contracts.reasoning import Check, Reasoning, parse_states
from contracts.taxonomy import Category
from simulation.latents import Leaning, draw_latents
from simulation.reasons import reason
from simulation.uploads import to_case, to_truth, to_upload


def test_every_simulated_case_is_reasoned_in_states_that_conclude_its_category() -> None:
    plain = 0
    for latents in draw_latents(300, 5):
        truth = to_truth(latents, 5)
        case = to_case(to_upload(latents, 5, None), truth)
        read = parse_states(case.reasoning, case.category)
        assert isinstance(read, Reasoning), read
        named = "it breaks no rule" if case.category is Category.POSITIVE else case.category.value.replace("_", " ")
        assert named in read.summary
        if read.check is Check.PLAIN_VIOLATION:
            plain += 1
            assert truth.words is truth.picture is Leaning.VIOLATIVE
    assert plain > 30


def test_what_is_spoken_of_before_a_harmless_picture_breaks_no_rule() -> None:
    told = reason(
        Category.POSITIVE,
        words=Leaning.VIOLATIVE,
        picture=Leaning.BENIGN,
        about=Category.HYPE_SELLING,
        scene="slides",
        feedback=None,
    )
    assert (told.content, told.check) == ("words of hype selling, a picture of slides", Check.UNDECIDED)
    assert (told.feedback, told.summary) == ("nobody has seen it yet", "it breaks no rule")
