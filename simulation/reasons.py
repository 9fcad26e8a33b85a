"""What a video truly is in, the reasoning of a reviewer who sees it all out: by states, as a ruling's text."""

from collections.abc import Mapping

from contracts.reasoning import Check, Reasoning
from contracts.taxonomy import Category
from contracts.videos import FeedbackCounts
from simulation.latents import Leaning, Pair

OFTEN = 0.004
"""Reports per impression from which on a reviewer calls a video often reported."""
_B, _S, _V = Leaning.BENIGN, Leaning.SHARED, Leaning.VIOLATIVE
_WORDS: Mapping[Leaning, str] = {_B: "everyday words", _S: "talk around {about}", _V: "words of {about}"}
_ANALYSIS: Mapping[Pair, str] = {
    (_V, _V): "words and picture say the same",
    (_V, _S): "the words say it, the picture fits",
    (_S, _V): "the picture says it, the words fit",
    (_B, _V): "the picture says it, behind everyday words",
    (_V, _B): "spoken of, not done: the picture is harmless",
    (_B, _B): "nothing in it is against a rule",
    (_B, _S): "such a picture is seen with good and bad, the words are harmless",
    (_S, _B): "such words come with good and bad, the picture is harmless",
    (_S, _S): "neither words nor picture settle it",
}


def reason(
    category: Category,
    *,
    words: Leaning,
    picture: Leaning,
    about: Category,
    scene: str,
    feedback: FeedbackCounts | None,
) -> Reasoning:
    """The states that lead from what is seen to the truth; words and picture that both lean to it are a plain case."""
    plain = category is not Category.POSITIVE and words is picture is _V
    topic = about.value.replace("_", " ")
    return Reasoning(
        content=f"{_WORDS[words].format(about=topic)}, a picture of {scene.replace('_', ' ')}",
        analysis=_ANALYSIS[words, picture],
        check=Check.PLAIN_VIOLATION if plain else Check.UNDECIDED,
        feedback=None if plain else _told(feedback),
        summary="it breaks no rule" if category is Category.POSITIVE else f"it is {category.value.replace('_', ' ')}",
        category=category,
    )


def _told(feedback: FeedbackCounts | None) -> str:
    if feedback is None or feedback.impressions == 0:
        return "nobody has seen it yet"
    often = feedback.reports / feedback.impressions >= OFTEN
    return "viewers report it often" if often else "viewers seldom report it"
