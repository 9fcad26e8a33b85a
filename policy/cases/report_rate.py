"""Weighed reports and impressions in, how likely a video's report rate is over the line out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import betaincc

from contracts.errors import BadInputError
from policy.cases.coordination import WeighedReports


@dataclass(frozen=True, slots=True)
class ReportLine:
    """From which report rate on a video is asked about, and how sure of it one must be.

    rate: upheld reports per impression. A harmless video earns 1 report in 1,000 impressions, of which half weigh.
    certainty: the least posterior probability of a rate over `rate`.
    prior: Beta prior as (reports, impressions without): 2 in 1,000, worth 500 impressions, so that a handful of
      reports of a video that few have seen opens no case.
    """

    rate: float = 0.003
    certainty: float = 0.9
    prior: tuple[float, float] = (1.0, 499.0)

    def __post_init__(self) -> None:
        if not (0.0 < self.rate < 1.0 and 0.0 < self.certainty < 1.0):
            raise BadInputError(f"rate == {self.rate}, certainty == {self.certainty}, must be in (0, 1)")
        if min(self.prior) <= 0.0:
            raise BadInputError(f"prior == {self.prior}, must be over 0")


class ReportRate(NamedTuple):
    """Weighed reports, the posterior mean of the report rate, and the probability that it is over the line."""

    reports: WeighedReports
    mean: float
    over_line: float


DEFAULT_LINE = ReportLine()


def report_rates(videos: Sequence[WeighedReports], line: ReportLine = DEFAULT_LINE) -> list[ReportRate]:
    """The Beta posterior of each video's report rate, in order.

    With weight k over n impressions it is Beta(a + k, b + n - k), as in Gelman et al., Bayesian Data Analysis, 3rd
    ed., 2.4, k being a sum of weights and not a count; P(rate > line) is the regularised incomplete beta function's
    complement there. Where impressions were lost, n is at least k.
    """
    weight = np.array([video.weight for video in videos], np.float64)
    impressions = np.maximum(np.array([video.impressions for video in videos], np.float64), weight)
    a, b = line.prior[0] + weight, line.prior[1] + impressions - weight
    over = np.clip(betaincc(a, b, line.rate), 0.0, 1.0)
    return [
        ReportRate(video, float(mean), float(above))
        for video, mean, above in zip(videos, a / (a + b), over, strict=True)
    ]
