"""What the weeks are like: every number with its reason.

Not all of them are as they were before the first run. Then the first release learned from cases of which 45% were
violative, on a platform where 10% are: whatever it learned later made it less suspicious, and showed as harm. Videos
had too few viewers for reports to open a case in their week (90 uploads a day for 1,000 viewers), and the trends were
4% of the uploads each. With those settings, one by one mended, what was learned changed the report rate by -11% to +5%.
"""

from dataclasses import dataclass
from datetime import date

from simulation.platform.population import Plan
from simulation.platform.settings import PlatformSettings, TrendWave, VideoSettings
from simulation.trends.settings import FRUIT_CUPS, SUBSIDY_WHEEL

WAVES = (
    TrendWave(FRUIT_CUPS.name, FRUIT_CUPS.category, starts_on=16, share=0.06, benign_share=0.015),
    TrendWave(SUBSIDY_WHEEL.name, SUBSIDY_WHEEL.category, starts_on=23, share=0.06, benign_share=0.015),
)
"""Two trends, a week apart, each more than half as large as everything else that is violative; with a quarter as many
videos that only speak of it."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """How large the weeks are.

    viewers, pre_days, days: who lives how many days before and during the experiment.
    per_1000_viewers: uploads a day, fewer than the platform's usual 300, so that each can be judged by its words by a
      real student in minutes; a video is then shown about 200 times a day, as one is that reports can be counted on.
    taught: decided cases that the first release learns from: a plain sample of uploads before any trend.
    rulings_a_day: what reviewers get through: one upload in fifteen.
    nights_between: refreshes are every so many nights; precedents are published every night.
    begins: the first day's date.
    """

    viewers: int = 10_000
    pre_days: int = 14
    days: int = 28
    per_1000_viewers: float = 30.0
    waves: tuple[TrendWave, ...] = WAVES
    taught: int = 2_000
    rulings_a_day: int = 20
    nights_between: int = 1
    seed: int = 7
    begins: date = date(2026, 3, 2)

    @property
    def plan(self) -> Plan:
        days = self.pre_days + self.days
        return Plan(self.viewers, days, self.seed, begins=self.begins, starts_on=self.pre_days)

    @property
    def platform(self) -> PlatformSettings:
        """The platform's central setting, but for the uploads and the trends among them."""
        return PlatformSettings(videos=VideoSettings(per_1000_viewers=self.per_1000_viewers, trends=self.waves))
