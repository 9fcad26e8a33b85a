"""A case in, the case as a model may see it out: its words alone, its layout alone, or both.

Every text is given, empty where it was missing: that there is none is layout, not words.
"""

from enum import StrEnum

from contracts.cases import DecidedCase


class Sight(StrEnum):
    """What a model may see of a case."""

    WORDS = "words only"
    LAYOUT = "layout only, no word read"
    WORDS_AND_LAYOUT = "words with layout"


def seen(case: DecidedCase, sight: Sight) -> DecidedCase:
    """The case without what `sight` does not see: feedback, media and, for words, all that counts how it was made.

    Layout is counted from the same texts, so there `sight` is kept by who reads them (`LayoutFit`, `StudentFit`).
    """
    upload = case.upload
    hidden: dict[str, object] = {"media_url": None, "feedback": None}
    if sight is Sight.WORDS:
        hidden |= {"picture_count": None}
        hidden |= {name: getattr(upload, name) or "" for name in ("title", "ocr", "asr")}
    return case.model_copy(update={"upload": upload.model_copy(update=hidden), "reasoning": ""})
