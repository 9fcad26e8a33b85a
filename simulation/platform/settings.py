"""What the simulated platform is like: every number with its reason, fixed before any effect was measured with it.

Where a figure is published it is named. The rest is chosen: plausible, stated, and not tuned to an effect. The grid
of `bench/platform.py` shows how much the effect depends on the three that matter most.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from contracts.errors import BadInputError
from contracts.taxonomy import Category

MOST_SESSIONS = 4
"""Sessions of one viewer on one day: each begins in a quarter of the day of its own, so none overlap."""
QUARTER_S = 21_600.0
LONGEST_S = 180.0
"""No video is longer."""


@dataclass(frozen=True, slots=True)
class TrendWave:
    """A violative trend that comes up while the platform runs: which it is, what it breaks, since when, how large.

    share, benign_share: of the uploads from day `starts_on` on, those that belong to it, and those that only speak of
    it (news, warnings, jokes). What such videos show and say is the trend's; here they have a truth and a place.
    """

    name: str
    category: Category
    starts_on: int
    share: float
    benign_share: float = 0.0

    def __post_init__(self) -> None:
        _inside(self, 0, 3_650, "starts_on")
        _inside(self, 0.0, 0.5, "share", "benign_share")
        if self.category is Category.POSITIVE:
            raise BadInputError(f"category == {self.category.value!r}, must be a violative one (TrendWave)")


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """What is uploaded, and how long it is shown.

    prevalence: share of violative videos among those in circulation, the soft violations that removal before
      publication leaves (bait, hype, vulgarity). Of the curated KuaiMod cases 43% are violative (300 of
      700); one in ten of what circulates is chosen.
    per_1000_viewers: uploads a day. Over the 7 days of `life_days` that is two videos in circulation for each viewer.
    life_days: for how many days a video is recommended. Short videos fade within a week; so does a verdict here.
    popularity_spread: standard deviation of log popularity; 1 gives the top tenth of the videos about 40% of views.
    toxic_appeal: what bait adds to a violative video's appeal, in relevance. Borderline content engages more than
      other content where nothing is done about it; a tenth of the scale is chosen.
    topics: kinds of video that tastes differ over.
    median_s, length_spread: length of a video, lognormal; a short video's median is about a quarter of a minute.
    toxicity_if_violative, toxicity_if_positive: Beta(a, b) of true toxicity; means 0.71 and 0.08.
    trends: what comes up later, beside the usual prevalence.
    """

    prevalence: float = 0.10
    per_1000_viewers: float = 300.0
    life_days: int = 7
    popularity_spread: float = 1.0
    toxic_appeal: float = 0.10
    topics: int = 12
    median_s: float = 15.0
    length_spread: float = 0.6
    toxicity_if_violative: tuple[float, float] = (5.0, 2.0)
    toxicity_if_positive: tuple[float, float] = (1.0, 12.0)
    trends: tuple[TrendWave, ...] = ()

    def __post_init__(self) -> None:
        _inside(self, 0.001, 0.9, "prevalence")
        _inside(self, 1.0, 100_000.0, "per_1000_viewers")
        _inside(self, 1, 60, "life_days")
        _inside(self, 0.0, 2.0, "popularity_spread")
        _inside(self, -1.0, 1.0, "toxic_appeal")
        _inside(self, 1, 127, "topics")
        _inside(self, 1.0, 600.0, "median_s")
        _inside(self, 0.0, 2.0, "length_spread")
        for name in ("toxicity_if_violative", "toxicity_if_positive"):
            if not all(0.0 < value < 1_000.0 for value in getattr(self, name)):
                raise BadInputError(f"{name} == {getattr(self, name)}, both must be in (0, 1000) (VideoSettings)")
        if (taken := sum(one.share + one.benign_share for one in self.trends)) > 0.9:
            raise BadInputError(f"trends take {taken:.2f} of the uploads, must be at most 0.9 (VideoSettings)")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How well the release in force tells violative videos: a calibrated score, or none yet.

    recall, false_positive_rate: at the score's line (see `videos.binormal`). KuaiMod-7B's published row, multi-class
      read as binary (arXiv 2504.14904): recall 0.846 at precision 0.970 of violative content; with the 43%
      violative cases of the public part that is a false positive rate of 0.02.
    unscored_share: videos served before their verdict is there, or without one; a verdict takes a second here.
    """

    recall: float = 0.85
    false_positive_rate: float = 0.02
    unscored_share: float = 0.01

    def __post_init__(self) -> None:
        _inside(self, 0.01, 0.999, "recall")
        _inside(self, 0.0001, 0.9, "false_positive_rate")
        _inside(self, 0.0, 1.0, "unscored_share")
        if self.false_positive_rate >= self.recall:
            raise BadInputError(
                f"false_positive_rate == {self.false_positive_rate}, must be smaller than recall == {self.recall}: "
                "a score must not be worse than chance (ModelSettings)"
            )


@dataclass(frozen=True, slots=True)
class AudienceSettings:
    """Who watches.

    tolerance: mean over viewers of the true toxicity that one watches like any other video; `tolerance_weight` is
      a + b of its Beta(a, b): 4 spreads viewers from those who mind all to those who mind nothing.
    active_share: chance of coming on a day, of the median viewer; chosen so that about two in five of all come.
      `active_spread`: standard deviation of its log-odds, for light and heavy users.
    more_sessions: probability of one more session, each time, up to `MOST_SESSIONS` a day: 1.5 a day on average.
    new_share: viewers who join on a day of the run rather than before it, so that there are some without a past.
    honest_spread: standard deviation of the log of a viewer's propensity to report; few report often, most never.
    """

    tolerance: float = 0.45
    tolerance_weight: float = 4.0
    active_share: float = 0.45
    active_spread: float = 1.2
    more_sessions: float = 0.35
    new_share: float = 0.10
    honest_spread: float = 1.0

    def __post_init__(self) -> None:
        _inside(self, 0.01, 0.99, "tolerance")
        _inside(self, 0.1, 1_000.0, "tolerance_weight")
        _inside(self, 0.01, 0.99, "active_share")
        _inside(self, 0.0, 5.0, "active_spread")
        _inside(self, 0.0, 0.9, "more_sessions")
        _inside(self, 0.0, 1.0, "new_share")
        _inside(self, 0.0, 3.0, "honest_spread")


@dataclass(frozen=True, slots=True)
class WatchingSettings:
    """What a viewer does with a video; `excess` is its true toxicity above the viewer's tolerance.

    taste_weight: how much of relevance is the viewer's taste for the topic; the rest is the video's own appeal.
    guess_spread: half-width of the recommender's error about relevance, uniform.
    least_fraction: mean share watched of a video of no relevance; it rises to 1 - least_fraction at full relevance.
    aversion: watched share falls by e^(-aversion * excess): half is left at an excess of 0.35.
    report_toxic: probability of an honest report per unit of excess; 0.06 gives 2% of the violative impressions.
    report_any: probability that an honest viewer reports a video, whatever it is (dislike, mistake). With one
      impression in ten violative about 3 impressions in 1,000 are reported, as the uploads of this simulator assume,
      and a third of the reports are not about toxicity.
    leave: probability of leaving the session after a video watched half; rises and falls with the share watched by
      `leave_bored`, and with excess by `leave_upset`. About ten videos a session.
    swipe_s: seconds between two videos.
    """

    taste_weight: float = 0.5
    guess_spread: float = 0.15
    least_fraction: float = 0.15
    aversion: float = 2.0
    report_toxic: float = 0.06
    report_any: float = 0.001
    leave: float = 0.09
    leave_bored: float = 0.08
    leave_upset: float = 0.20
    swipe_s: float = 1.0

    def __post_init__(self) -> None:
        _inside(self, 0.0, 1.0, "taste_weight", "guess_spread", "report_toxic", "report_any", "leave", "leave_bored")
        _inside(self, 0.0, 0.5, "least_fraction")
        _inside(self, 0.0, 1.0, "leave_upset")
        _inside(self, 0.0, 20.0, "aversion")
        _inside(self, 0.0, 60.0, "swipe_s")


@dataclass(frozen=True, slots=True)
class LoyaltySettings:
    """How satisfaction moves, and what it does to coming back.

    speed: share by which satisfaction moves to today's experience on a day of use, and back to 0 on a day away: half
      of a change is felt after a fortnight of use. Experiments of two weeks see part of a lasting effect.
    upset: weight of the mean excess toxicity of a day against the mean share watched, both in [0, 1]: one impression
      of pure outrage in ten spoils a day as 40 points less of every video watched would.
    usual_fraction: share watched on a day that leaves satisfaction as it is.
    pull: what one unit of satisfaction adds to the log-odds of coming on a day. Published effects of moderation on
      daily users are hundredths of a percent; this pull makes them larger, yet small beside what days differ by.
    churn, churn_pull: chance on a day of use to leave for good, and how satisfaction divides it (e^-pull).
    comeback: chance a day that one who left returns, times e^(pull * satisfaction).
    """

    speed: float = 0.05
    upset: float = 4.0
    usual_fraction: float = 0.45
    pull: float = 0.5
    churn: float = 0.01
    churn_pull: float = 1.0
    comeback: float = 0.02

    def __post_init__(self) -> None:
        _inside(self, 0.0, 1.0, "speed", "usual_fraction", "churn", "comeback")
        _inside(self, 0.0, 100.0, "upset")
        _inside(self, 0.0, 10.0, "pull", "churn_pull")


@dataclass(frozen=True, slots=True)
class BadFaithSettings:
    """Reports of what is not toxic.

    lone_share, lone_report: viewers who report what they merely dislike, and how often they report a positive video.
    brigades, brigade_share: how many groups, and which share of all viewers are members of one.
    brigade_every_days: a brigade strikes on one day in so many: its members open with one popular positive video and
      report it with probability `brigade_zeal`.
    """

    lone_share: float = 0.01
    lone_report: float = 0.03
    brigades: int = 2
    brigade_share: float = 0.004
    brigade_every_days: int = 7
    brigade_zeal: float = 0.8

    def __post_init__(self) -> None:
        _inside(self, 0.0, 1.0, "lone_share", "lone_report", "brigade_share", "brigade_zeal")
        _inside(self, 0, 1_000, "brigades")
        _inside(self, 1, 365, "brigade_every_days")


@dataclass(frozen=True, slots=True)
class FeedbackSettings:
    """What reports do to videos that all viewers share: the interference between arms. `on` switches all of it.

    report_weight: what log(1 + reports) adds to the log-odds of a video's toxicity feature until it is ruled on.
    case_at: reporters of one video that open a case.
    ruling_days: days from the case to its ruling, in force from the next day's start on.
    ruling_accuracy: rulings that find what is true. Violative: removed for all. Positive: the precedent clears the
      video, its toxicity feature falls to `cleared_toxicity`, and later reports no longer move it.
    """

    on: bool = True
    report_weight: float = 0.7
    case_at: int = 3
    ruling_days: int = 1
    ruling_accuracy: float = 0.95
    cleared_toxicity: float = 0.02

    def __post_init__(self) -> None:
        _inside(self, 0.0, 10.0, "report_weight")
        _inside(self, 1, 1_000_000, "case_at")
        _inside(self, 0, 365, "ruling_days")
        _inside(self, 0.0, 1.0, "ruling_accuracy", "cleared_toxicity")


@dataclass(frozen=True, slots=True)
class PlatformSettings:
    """The central setting, part by part; `dataclasses.replace` makes another.

    surfaces: shares of sessions on recommend, following and search.
    candidates, page: how many videos a session's ranker chooses from, and the most that a session shows.
    """

    videos: VideoSettings = field(default_factory=VideoSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    audience: AudienceSettings = field(default_factory=AudienceSettings)
    watching: WatchingSettings = field(default_factory=WatchingSettings)
    loyalty: LoyaltySettings = field(default_factory=LoyaltySettings)
    bad_faith: BadFaithSettings = field(default_factory=BadFaithSettings)
    feedback: FeedbackSettings = field(default_factory=FeedbackSettings)
    surfaces: tuple[float, float, float] = (0.75, 0.17, 0.08)
    candidates: int = 48
    page: int = 20

    def __post_init__(self) -> None:
        _inside(self, 2, 1_024, "candidates")
        if not 1 <= self.page <= self.candidates:
            raise BadInputError(f"page == {self.page}, must be in [1, candidates == {self.candidates}]")
        longest_s = self.page * (LONGEST_S + self.watching.swipe_s)
        if longest_s >= QUARTER_S:
            raise BadInputError(
                f"page == {self.page} with swipe_s == {self.watching.swipe_s}: a session may take {longest_s:,.0f} s, "
                f"must be under {QUARTER_S:,.0f} s"
            )
        if any(share < 0 for share in self.surfaces) or abs(sum(self.surfaces) - 1.0) > 1e-9:
            raise BadInputError(f"surfaces == {self.surfaces}, must be 0 or more and sum to 1")


def with_changes(
    *,
    prevalence: float | None = None,
    recall: float | None = None,
    false_positive_rate: float | None = None,
    tolerance: float | None = None,
    interference: bool = True,
) -> PlatformSettings:
    """The central setting, but for what is given."""
    model = {"recall": recall, "false_positive_rate": false_positive_rate}
    return PlatformSettings(
        videos=VideoSettings() if prevalence is None else VideoSettings(prevalence=prevalence),
        model=ModelSettings(**{name: value for name, value in model.items() if value is not None}),
        audience=AudienceSettings() if tolerance is None else AudienceSettings(tolerance=tolerance),
        feedback=FeedbackSettings(on=interference),
    )


def _inside(part: Any, low: float, high: float, *names: str) -> None:
    """Each named field lies in [low, high], and is whole where it is declared so; NaN lies nowhere."""
    whole = {one.name for one in fields(part) if one.type in {"int", int}}
    for name in names:
        value = getattr(part, name)
        if not low <= value <= high or (name in whole and value != int(value)):
            rule = f"must be {'whole and ' if name in whole else ''}in [{low:g}, {high:g}]"
            raise BadInputError(f"{name} == {value}, {rule} ({type(part).__name__})")
