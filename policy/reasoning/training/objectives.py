"""Rewards and log-probabilities of a batch in, advantages and a loss out: StableReinforce and Reinforce++, purely.

    rewards -> standardised -> without_outliers -> advantages
    log-probabilities, now and when sampled -> log_ratio (Pre-Clip) -> clipped -> mean over answer tokens; + KL

StableReinforce is of R1-Reward (arXiv 2505.02835). Where its text and its reference code differ, each function says
which it follows. Tensors may be of any floating type; nothing is cast. [B, T]: B answers of T tokens, padded.
"""

import math
from typing import NamedTuple

import torch

from policy.reasoning.training.settings import ReinforceSettings


class Loss(NamedTuple):
    """The loss to descend, scalar, and what it is made of: policy + kl weight x kl.

    `clipped` and `pre_clipped`: shares of answer tokens whose ratio is beyond PPO's clip, beyond Pre-Clip's clamp.
    """

    total: torch.Tensor
    policy: torch.Tensor
    kl: torch.Tensor
    clipped: torch.Tensor
    pre_clipped: torch.Tensor


def advantages_of(rewards_N: torch.Tensor, settings: ReinforceSettings) -> torch.Tensor:
    """Advantages [N] of the rewards of a whole rollout, over all processes."""
    advantages_N = standardised(rewards_N)
    return without_outliers(advantages_N, settings.sigmas) if settings.parts.advantage_filter else advantages_N


def loss_of(
    logps_B_T: torch.Tensor,
    old_logps_B_T: torch.Tensor,
    reference_logps_B_T: torch.Tensor | None,
    advantages_B: torch.Tensor,
    mask_B_T: torch.Tensor,
    settings: ReinforceSettings,
) -> Loss:
    """The loss of a batch: StableReinforce's, or with Pre-Clip off that of Reinforce++, and the KL to the reference.

    Reinforce++ (arXiv 2501.03262) takes its KL off the rewards, token by token, as the reference code of R1-Reward
    does; here it is a term of the loss, in both alike, so that rewards and advantages stay what they are called.
    """
    given = (logps_B_T, old_logps_B_T, advantages_B, mask_B_T)
    if settings.parts.pre_clip:
        policy = stable_reinforce_loss(*given, clip=settings.clip, ratio_clamp=settings.ratio_clamp)
    else:
        policy = reinforce_plus_plus_loss(*given, clip=settings.clip)
    kl = policy.new_zeros(())
    if reference_logps_B_T is not None:
        kl = kl_k3(logps_B_T, reference_logps_B_T, mask_B_T, ratio_clamp=settings.ratio_clamp)
    with torch.no_grad():
        d_B_T = log_ratio(logps_B_T, old_logps_B_T, mask_B_T)
        low, high = math.log(1.0 - settings.clip), math.log(1.0 + settings.clip)
        clipped_B_T = ((d_B_T > high) & (advantages_B[:, None] > 0)) | ((d_B_T < low) & (advantages_B[:, None] < 0))
        beyond_B_T = d_B_T.abs() > math.log(settings.ratio_clamp)
        shares = [mean_over_tokens(found.to(logps_B_T.dtype), mask_B_T) for found in (clipped_B_T, beyond_B_T)]
    return Loss(policy + settings.kl * kl, policy, kl, *shares)


def stable_reinforce_loss(
    logps_B_T: torch.Tensor,
    old_logps_B_T: torch.Tensor,
    advantages_B: torch.Tensor,
    mask_B_T: torch.Tensor,
    *,
    clip: float = 0.2,
    ratio_clamp: float = 1e3,
) -> torch.Tensor:
    """Mean of -min(r A, clamp(r, 1 - clip, 1 + clip) A), r = exp(d), d = clamp(logp - old, log 1e-3, log 1e3).

    Pre-Clip: the text's clip of the log-ratio before its exponential; the reference code clamps at the same place, the
    bounds of the ratio written as log 1e-3 and log 1e3. A token beyond the clamp has a bounded loss and no gradient.
    The mean is over all answer tokens of the batch; the reference code takes it within each answer first, then over
    answers, by which tokens of short answers would weigh more.
    """
    bound = math.log(ratio_clamp)
    d_B_T = log_ratio(logps_B_T, old_logps_B_T, mask_B_T).clamp(-bound, bound)
    return mean_over_tokens(clipped(d_B_T, advantages_B, clip), mask_B_T)


def reinforce_plus_plus_loss(
    logps_B_T: torch.Tensor,
    old_logps_B_T: torch.Tensor,
    advantages_B: torch.Tensor,
    mask_B_T: torch.Tensor,
    *,
    clip: float = 0.2,
) -> torch.Tensor:
    """PPO's clipped loss (arXiv 1707.06347, eq. 7) as Reinforce++ uses it: as above, without Pre-Clip.

    Its exponential overflows, in float32 from a log-ratio of 88.7 on; then the gradient is 0 x inf = NaN even where
    the clip takes the other branch.
    """
    d_B_T = log_ratio(logps_B_T, old_logps_B_T, mask_B_T)
    return mean_over_tokens(clipped(d_B_T, advantages_B, clip), mask_B_T)


def log_ratio(logps_B_T: torch.Tensor, old_logps_B_T: torch.Tensor, mask_B_T: torch.Tensor) -> torch.Tensor:
    """The log-ratio logp - old of answer tokens, 0 of padding: what stands there reaches neither loss nor gradient."""
    return torch.where(mask_B_T.bool(), logps_B_T - old_logps_B_T, 0.0)


def clipped(d_B_T: torch.Tensor, advantages_B: torch.Tensor, clip: float) -> torch.Tensor:
    """-min(r A, clamp(r, 1 - clip, 1 + clip) A) for each token, r = exp(d), A the advantage of its answer."""
    ratio_B_T, advantages_B_1 = d_B_T.exp(), advantages_B[:, None]
    return -torch.min(ratio_B_T * advantages_B_1, ratio_B_T.clamp(1.0 - clip, 1.0 + clip) * advantages_B_1)


def kl_k3(
    logps_B_T: torch.Tensor, reference_logps_B_T: torch.Tensor, mask_B_T: torch.Tensor, *, ratio_clamp: float = 1e3
) -> torch.Tensor:
    """Schulman's k3 estimate of KL(policy || reference): the mean of exp(x) - x - 1, x = reference - logp of a token.

    Never negative, unbiased for samples of the policy. x is clamped from above at the log of `ratio_clamp`, where alone
    the exponential overflows: a token that the policy finds so much less likely than the reference pulls no more. That
    clamp is this project's; the reference code uses k1 (or k3) without one, and takes it off the rewards.
    """
    x_B_T = log_ratio(reference_logps_B_T, logps_B_T, mask_B_T).clamp(max=math.log(ratio_clamp))
    return mean_over_tokens(torch.expm1(x_B_T) - x_B_T, mask_B_T)


def mean_over_tokens(values_B_T: torch.Tensor, mask_B_T: torch.Tensor) -> torch.Tensor:
    """The mean over answer tokens; 0 where there are none."""
    mask_B_T = mask_B_T.to(values_B_T.dtype)
    return (values_B_T * mask_B_T).sum() / mask_B_T.sum().clamp(min=1.0)


def standardised(rewards_N: torch.Tensor) -> torch.Tensor:
    """(reward - mean) / sample deviation over the whole rollout; all 0 where all rewards are equal.

    Standardised are answers' rewards, as in the text of the paper. The reference code standardises the returns of all
    tokens, the KL taken off, by the population's deviation.
    """
    centred_N = rewards_N - rewards_N.mean()
    deviation = (centred_N.square().sum() / max(1, rewards_N.numel() - 1)).sqrt()
    differ = rewards_N.max() > rewards_N.min()  # rounding leaves equal rewards a deviation that is not quite 0
    return torch.where(differ, centred_N / torch.where(differ, deviation, 1.0), 0.0)


def without_outliers(advantages_N: torch.Tensor, sigmas: float = 3.0) -> torch.Tensor:
    """Standardised advantages, those beyond +-sigmas set to 0: such an answer moves nothing but the KL.

    The filter is on advantages around 0, as in the text. The reference code filters standardised returns around the
    mean of the returns before they are standardised, so that its bounds drift with the rewards.
    """
    return torch.where(advantages_N.abs() > sigmas, 0.0, advantages_N)
