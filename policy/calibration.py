"""Scores of held-out cases in, temperature, biases and the toxicity line out; and how well calibrated it is."""

import numpy as np
import numpy.typing as npt
import torch

from contracts.taxonomy import POSITIVE_INDEX

FEWEST_TO_MOVE_A_LINE, STANDARD_ERRORS = 2_000, 2.0
"""With fewer held-out cases a line other than 0.5 is chance: on unseen ones it cost 0.5 to 0.9 points. The best of many
lines looks better than it is: it must be so by this many standard errors."""
TEMPERATURES = (0.25, 8.0)
"""A few held-out cases that happen to be separable must not make the student certain of everything."""


def fit_temperature(
    logits_N_K: npt.NDArray[np.float32],
    labels_N: npt.NDArray[np.int64],
    *,
    bias_penalty: float = 0.02,
    stands_for_N: npt.NDArray[np.floating] | None = None,
) -> tuple[float, npt.NDArray[np.float32]]:
    """Temperature and class biases [K] that minimise the penalised mean cross-entropy (Guo et al. 2017, 4.2).

    Calibrated logits are `logits / temperature + bias`; without a case they stay as they are. The mean is over the
    uploads that cases stand for, each for one unless told.
    """
    if not len(labels_N):
        return 1.0, np.zeros(logits_N_K.shape[1], np.float32)
    logits, labels = torch.from_numpy(logits_N_K).double(), torch.from_numpy(labels_N)
    log_temperature = torch.zeros(1, dtype=torch.double, requires_grad=True)
    bias = torch.zeros(logits.shape[1], dtype=torch.double, requires_grad=True)
    weights = torch.ones(len(labels_N)) if stands_for_N is None else torch.from_numpy(stands_for_N)
    share = weights.double() / weights.double().sum()
    optimiser = torch.optim.LBFGS([log_temperature, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        calibrated = logits * torch.exp(-log_temperature) + bias
        each = torch.nn.functional.cross_entropy(calibrated, labels, reduction="none")
        loss = (share * each).sum() + bias_penalty * bias.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return float(log_temperature.exp().clamp(*TEMPERATURES).item()), bias.detach().float().numpy()


def expected_calibration_error(
    p_N: npt.NDArray[np.floating], happened_N: npt.NDArray[np.bool_], *, bins: int = 15
) -> float:
    """Weighted mean of |mean probability - frequency| over equal-width bins (Guo et al. 2017, eq. 3)."""
    which = np.minimum((np.asarray(p_N, np.float64) * bins).astype(np.int64), bins - 1)
    count = np.bincount(which, minlength=bins)
    gap = np.bincount(which, weights=p_N, minlength=bins) - np.bincount(which, happened_N, minlength=bins)
    return float(np.abs(gap[count > 0]).sum() / len(p_N))


def toxicity_line(probabilities_N_16: npt.NDArray[np.float32], labels_N: npt.NDArray[np.int64]) -> float:
    """The toxicity from which on a video is found violative, from scores that never saw their own case.

    Where binary accuracy is highest, 0.5 where nothing is clearly better or the cases are few.
    """
    if len(labels_N) < FEWEST_TO_MOVE_A_LINE:
        return 0.5
    return _most_accurate(1.0 - probabilities_N_16[:, POSITIVE_INDEX], labels_N != POSITIVE_INDEX)


def _most_accurate(toxicity_N: npt.NDArray[np.floating], violative_N: npt.NDArray[np.bool_]) -> float:
    """The middle of the most accurate plateau, or 0.5 where that is within two standard errors of it."""
    grid = np.linspace(0.25, 0.75, 101)
    right_G_N = (toxicity_N[None] >= grid[:, None]) == violative_N[None]
    right = right_G_N.mean(axis=1)
    smooth = np.convolve(np.pad(right, 10, mode="edge"), np.ones(21) / 21, mode="valid")
    best, half = int(smooth.argmax()), len(grid) // 2
    disagreeing = int((right_G_N[best] != right_G_N[half]).sum())
    gain = (right[best] - right[half]) * len(violative_N)
    return round(float(grid[best if gain > STANDARD_ERRORS * np.sqrt(disagreeing) else half]), 4)
