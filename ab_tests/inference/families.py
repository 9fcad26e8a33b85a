"""P-values of a family in, adjusted p-values out, by tea-tasting: false discoveries or family-wise errors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ab_tests.results import Correction, Estimate


class _Tested(NamedTuple):
    pvalue: float


def adjusted(p_values: Sequence[float], correction: Correction) -> tuple[float, ...]:
    """Adjusted p-values, in the order given.

    "fdr" is Benjamini-Hochberg (1995), which holds for independent and for positively dependent tests; "fwer" is
    Holm (1979), which holds under any dependence.
    """
    from tea_tasting.experiment import ExperimentResult
    from tea_tasting.multiplicity import adjust_fdr, adjust_fwer

    if not p_values:
        return ()
    family = ExperimentResult({str(i): _Tested(p) for i, p in enumerate(p_values)})
    if correction == "fdr":
        results = adjust_fdr(family, arbitrary_dependence=False)
    else:
        results = adjust_fwer(family, arbitrary_dependence=True, method="bonferroni")
    by_name = {row["metric"]: row["pvalue_adj"] for row in results.to_dicts()}
    return tuple(float(by_name[str(i)]) for i in range(len(p_values)))


def with_adjusted_p(estimates: Sequence[Estimate], correction: Correction) -> tuple[Estimate, ...]:
    """The same estimates, their p-values adjusted as one family."""
    p_values = adjusted([estimate.p_value for estimate in estimates], correction)
    return tuple(replace(estimate, adjusted_p=p) for estimate, p in zip(estimates, p_values, strict=True))
