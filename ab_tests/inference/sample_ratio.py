"""Users of each arm and segment in, an alarm out: arms of another size than planned mean that some users were lost.

It sees a leak that takes more of one arm than of another, in all or within a segment, and arms that differed before
the experiment. It cannot see a leak that takes as many, and as active, users from every arm; users who were counted
in the arm that they did not get; nor events lost after exposure while the user stays in the table.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ab_tests.inference.families import adjusted
from ab_tests.results import ArmCount, SampleRatio

if TYPE_CHECKING:
    from tea_tasting.aggr import Aggregates

THRESHOLD = 0.001
"""One sound experiment in a thousand raises a false alarm by each of the three tests."""
BALANCED = ("pre_active_days", "pre_usage_s", "pre_impressions")
"""What users did before the experiment, in which arms must be alike."""


def check_sample_ratio(
    arms: Sequence[ArmCount],
    segments: Mapping[str, Sequence[int]],
    before: "Sequence[Aggregates]",
    *,
    threshold: float = THRESHOLD,
) -> SampleRatio:
    """Chi-square of all users and of each segment's (users of each arm), and differences of `BALANCED` before.

    `before` are the arms' aggregates with those columns, control first; empty without a pre-period.
    """
    from scipy.special import chdtrc

    shares = [arm.share for arm in arms]
    statistic = _chi_square([arm.users for arm in arms], shares)
    filled = [counts for counts in segments.values() if sum(counts) > 0]
    degrees = len(arms) - 1
    within = sum(_chi_square(counts, shares) for counts in filled)
    return SampleRatio(
        arms=tuple(arms),
        statistic=statistic,
        p_value=float(chdtrc(degrees, statistic)),
        segments_p_value=float(chdtrc(degrees * len(filled), within)) if len(filled) > 1 else None,
        balance_p_value=_balance_p(before) if before else None,
        threshold=threshold,
    )


def power_to_notice(shares: Sequence[float], true_shares: Sequence[float], users: int, *, threshold: float) -> float:
    """How often the chi-square test of all users alarms when they arrive in `true_shares` (noncentral chi-square)."""
    from scipy.special import chdtri, chndtr

    drift = sum((true - share) ** 2 / share for share, true in zip(shares, true_shares, strict=True))
    degrees = len(shares) - 1
    return float(1.0 - chndtr(chdtri(degrees, threshold), degrees, users * drift))


def users_to_notice(
    shares: Sequence[float], true_shares: Sequence[float], *, power: float = 0.8, threshold: float = THRESHOLD
) -> int:
    """The fewest users at which `true_shares` instead of `shares` raise an alarm with probability `power`."""
    low, high = 1, 2
    while power_to_notice(shares, true_shares, high, threshold=threshold) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = power_to_notice(shares, true_shares, middle, threshold=threshold) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _chi_square(counts: Sequence[int], shares: Sequence[float]) -> float:
    total = sum(counts)
    return sum((count - total * share) ** 2 / (total * share) for count, share in zip(counts, shares, strict=True))


def _balance_p(before: "Sequence[Aggregates]") -> float | None:
    """The smallest p of a difference before the experiment, Holm-adjusted over columns and arms."""
    from tea_tasting.metrics import Mean

    control, *treatments = before
    p_values = [
        Mean(column, use_t=False, equal_var=False, alternative="two-sided").analyze_aggregates(control, arm).pvalue
        for column in BALANCED
        for arm in treatments
        if control.var(column) > 0 and arm.var(column) > 0
    ]
    return min(adjusted(p_values, "fwer"), default=None)
