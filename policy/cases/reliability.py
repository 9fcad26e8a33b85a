"""How a reporter's earlier reports were ruled in, how far the next one is believed out."""

from collections.abc import Iterable

from contracts.histories import smoothed_share
from warehouse.feedback import ReporterRecord

RELIABILITY_PRIOR = (2.0, 2.0)
"""Beta prior as (upheld, rejected): an unknown reporter is right half of the time, and two rulings move that little."""
UNKNOWN = RELIABILITY_PRIOR[0] / sum(RELIABILITY_PRIOR)
"""The reliability of a reporter of whom nothing was ruled yet."""


def reliability(record: ReporterRecord) -> float:
    """Posterior mean of the probability that a report by this reporter is upheld, in (0, 1).

    Beta-binomial: (upheld + a) / (upheld + rejected + a + b) (Gelman et al., Bayesian Data Analysis, 3rd ed., 2.4).
    """
    return smoothed_share(record.upheld, record.upheld + record.rejected, RELIABILITY_PRIOR)


def reliabilities(records: Iterable[ReporterRecord]) -> dict[str, float]:
    """The reliability of each reporter of whom something was ruled; all others are `UNKNOWN`."""
    return {record.reporter_id: reliability(record) for record in records}
