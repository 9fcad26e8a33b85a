"""Counts in, how strongly they speak against a line out: by bounds that hold however often they are looked at.

A rollout is looked at every few seconds for hours. A posterior bound that is crossed by chance once in twenty looks is
crossed by chance in nearly every rollout, so the evidence here is a bet whose stake a harmless candidate multiplies by
1/alpha in at most a share alpha of rollouts, over all looks together (Ville's inequality; Howard et al. 2021, "Time-
uniform, nonparametric, nonasymptotic confidence sequences", 3).
"""

import numpy as np
from scipy.special import betaincc, betaincinv, betaln, log_ndtr, xlogy

from policy.rollout.figures import Reported


def log_bet_over(successes: float, trials: float, line: float, *, prior: tuple[float, float] = (1.0, 1.0)) -> float:
    """Log of the stake of a bet that a share is over `line`: a mixture of likelihood ratios, over all shares above it.

        log of the integral over p in (line, 1) of  p^k (1 - p)^(n - k) / (line^k (1 - line)^(n - k))  dB(p | p > line)

    for k of n, k and n not necessarily whole, and B a Beta prior. Its expectation is at most 1 for a share of `line`
    or less.
    """
    k, rest = successes, max(trials - successes, 0.0)
    a, b = prior
    mass_before = float(np.log(max(betaincc(a, b, line), 1e-300)))
    tail = float(betaincc(a + k, b + rest, line))
    mass_after = float(np.log(tail)) if tail > 1e-290 else _log_tail(a + k, b + rest, line)
    likelihood = float(betaln(a + k, b + rest) - betaln(a, b))
    return likelihood + mass_after - mass_before - float(xlogy(k, line) + xlogy(rest, 1.0 - line))


def overdispersion(live: Reported, candidate: Reported) -> float:
    """How many times as variable reports are as if each impression earned one by itself: at least 1.

    Videos are what the hash draws, so the variance is that of a ratio over videos: the sum of (r - R i)^2, R being the
    pooled rate, against the R sum(i) of a Poisson count (the linearised variance of a ratio estimate, Cochran 1977,
    Sampling Techniques, 6.4; divided into the counts as in Rao and Scott 1992, Biometrics 48).
    """
    both = live + candidate
    if not both.reports:
        return 1.0
    rate = both.reports / both.impressions
    around = both.reports_squared - 2.0 * rate * both.shared + rate**2 * both.impressions_squared
    return max(1.0, around / both.reports)


def log_bet_reported_more(live: Reported, candidate: Reported, *, ratio: float) -> float:
    """Log stake of the bet that the candidate's videos are reported more than `ratio` times as often an impression.

    Given all reports, those on the candidate's videos are a binomial count whose share under the line is known from
    the impressions (the exact test of two Poisson rates, Przyborowski and Wilenski 1940); the counts are divided by
    their overdispersion. The prior is spread as wide as a share of the candidate's impressions is uncertain.
    """
    if not live.impressions or not candidate.impressions or not candidate.reports:
        return 0.0
    k, n, line = _effective(live, candidate, ratio)
    return log_bet_over(k, n, line, prior=_around(line))


def report_ratio(live: Reported, candidate: Reported, *, share: float) -> tuple[float, float, float]:
    """The ratio of the report rates, candidate to live: estimate and the ends of its central `share` credible interval.

    By the posterior of the share of effective reports under Jeffreys' prior; (1, 0, inf) where nothing was shown.
    """
    if not live.impressions or not candidate.impressions:
        return 1.0, 0.0, float("inf")
    k, n, _ = _effective(live, candidate, 1.0)
    tail = (1.0 - share) / 2.0
    ends = [float(betaincinv(k + 0.5, n - k + 0.5, at)) for at in (tail, 1.0 - tail)]
    estimate = (k + 0.5) / (n + 1.0)
    per = live.impressions / candidate.impressions
    low, middle, high = (p / max(1.0 - p, 1e-12) * per for p in (ends[0], estimate, ends[1]))
    return middle, low, high


def _effective(live: Reported, candidate: Reported, ratio: float) -> tuple[float, float, float]:
    """Effective reports on the candidate's videos and on all, and the candidate's share of them at `ratio`."""
    spread = overdispersion(live, candidate)
    weighed = ratio * candidate.impressions
    return (
        candidate.reports / spread,
        (live.reports + candidate.reports) / spread,
        weighed / (weighed + live.impressions),
    )


def _around(line: float) -> tuple[float, float]:
    """A Beta prior of mean `line` whose odds are spread over some factor of three."""
    worth = 4.0 / (1.0 - line) if line < 0.5 else 4.0 / line
    return max(worth * line, 0.5), max(worth * (1.0 - line), 0.5)


def _log_tail(a: float, b: float, line: float) -> float:
    """Log P(p > line) of a Beta far out in its tail, by the normal approximation of its mean."""
    mean = a / (a + b)
    deviation = np.sqrt(mean * (1.0 - mean) / (a + b + 1.0))
    return float(log_ndtr((mean - line) / deviation))
