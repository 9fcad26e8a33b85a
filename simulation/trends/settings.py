"""The trends and the scenario that they are measured in, fixed before any recall of them was measured.

A trend breaks a known category (the taxonomy's 16 are fixed) with a scene and words that no phrase and no scene of
the simulator has: its code words, and its look without the marks of its category's group. It hides in everyday videos:
it speaks among lines of a harmless topic, and its scene is dressed as that topic's. (As first committed it was merely
new, and the release in force found 0.77 and 0.59 of its videos unseen, as whatever lacks all that good videos have:
no trend that anybody would call unknown. It was hidden before anything else was measured.)
"""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.errors import BadInputError
from contracts.taxonomy import Category
from simulation.latents import PAIRS_IF_VIOLATIVE, Leaning, Pair

_B, _S, _V = Leaning.BENIGN, Leaning.SHARED, Leaning.VIOLATIVE


@dataclass(frozen=True, slots=True)
class Trend:
    """A violative trend: its name is that of its phrases and its scene, `dressed_as` the harmless topic it hides in."""

    name: str
    category: Category
    dressed_as: str

    def __post_init__(self) -> None:
        if self.category is Category.POSITIVE:
            raise BadInputError(f"category == {self.category.value!r}, must be a violative one (trend {self.name!r})")


FRUIT_CUPS = Trend("fruit_cups", Category.PROHIBITED_GOODS, "kitchen")
"""Vapes sold under the names of fruit cups."""
SUBSIDY_WHEEL = Trend("subsidy_wheel", Category.FALSE_BENEFITS, "family")
"""A challenge around a wheel that is said to pay a subsidy."""
TRENDS: Mapping[str, Trend] = {trend.name: trend for trend in (FRUIT_CUPS, SUBSIDY_WHEEL)}

PAIRS_OF_TREND: Mapping[Pair, float] = PAIRS_IF_VIOLATIVE
"""(words, picture) of the trend's videos: as those of any violative video, so that one in five is told by its picture
alone, one in three by its words alone, and three in a hundred by nothing. `shared` words are the trend's own."""

PAIRS_OF_LOOK_ALIKES: Mapping[Pair, float] = {(_V, _B): 0.30, (_V, _S): 0.20, (_S, _B): 0.20, (_S, _S): 0.30}
"""Of good videos about the trend: its very words before a harmless or a common picture, or its topic alone."""


@dataclass(frozen=True, slots=True)
class TrendScenario:
    """How trends come up, and how they are ruled on.

    share, look_alike_share: of the uploads, those of each trend, and the good ones that only speak of it.
    framed: look-alikes with the trend's words that say what they are for (news, a lesson, a joke); the others cannot
      be told from the trend by anything.
    wrong: rulings that find something plausible which is not so.
    rulings_a_day, on_trend: what the reviewers manage, and how many of these are about each trend's videos. The
      release misses them, so that reports put them first.
    on_look_alikes: rulings on look-alikes for each ruling on a trend's video: there are half as many of them, and
      they are asked about half as often.
    precedents: after so many rulings on a trend's videos recall is told; those on its look-alikes come on top.
    others: usual uploads of the day; what is left of the reviewers' day goes to those that the release doubts most.
    taught: cases that the release in force was trained on. judged_old, judged_of_trend, judged_look_alikes: unseen
      videos; the last two of each trend.
    seed_taught, seeds_to_develop, seeds_to_report: of the videos and of which of them are ruled on; nothing was
      chosen by what the last ones gave.
    """

    share: float = 0.03
    look_alike_share: float = 0.015
    framed: float = 0.9
    wrong: float = 0.08
    rulings_a_day: int = 240
    on_trend: int = 60
    on_look_alikes: float = 0.25
    precedents: tuple[int, ...] = (1, 5, 20)
    others: int = 1_000
    taught: int = 4_000
    judged_old: int = 8_000
    judged_of_trend: int = 1_000
    judged_look_alikes: int = 500
    seed_taught: int = 501
    seeds_to_develop: tuple[int, ...] = (601, 602)
    seeds_to_report: tuple[int, ...] = (701, 702, 703)

    def __post_init__(self) -> None:
        for name in ("share", "look_alike_share", "framed", "wrong"):
            if not 0.0 <= (value := getattr(self, name)) <= 1.0:
                raise BadInputError(f"{name} == {value}, must be in [0, 1] (TrendScenario)")
        about_trends = len(TRENDS) * self.on_trend * (1.0 + self.on_look_alikes)
        if not max(self.precedents) <= self.on_trend or about_trends > self.rulings_a_day:
            raise BadInputError(
                f"on_trend == {self.on_trend}, must be at least {max(self.precedents)}, and with look-alikes of "
                f"{len(TRENDS)} trends at most rulings_a_day == {self.rulings_a_day} (TrendScenario)"
            )


SCENARIO = TrendScenario()
