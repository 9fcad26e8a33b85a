"""S tiny recurrent policies at once: prompts in, answers of five tokens and their log-probabilities out.

An answer is a mark, a reasoning of one token, a mark, the answer proper, a mark: of the form where the marks are right,
right where the answer is the prompt's, consistent where the reasoning names the answer. Each policy is a GRU (Cho et
al., 2014) with weights of its own; they are stacked only because a hundred small products cost as much as one.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch

CLASSES, MARKS, PROMPTS = 8, 4, 32
TOKENS = CLASSES + MARKS
FORM = (CLASSES, None, CLASSES + 1, None, CLASSES + 2)
REASONING, ANSWER, LENGTH = 1, 3, 5
HIDDEN = 16


class Sampled(NamedTuple):
    """N prompts and answers of each policy, the log-probability of each token and the entropy where it was drawn."""

    prompts_S_N: torch.Tensor
    tokens_S_N_T: torch.Tensor
    logps_S_N_T: torch.Tensor
    entropy_S_N_T: torch.Tensor


class Parts(NamedTuple):
    """Result, form and consistency of answers, each [S, N], as numbers."""

    result: torch.Tensor
    form: torch.Tensor
    consistency: torch.Tensor


@dataclass(slots=True)
class Policies:
    """The weights of S policies, by name, each [S, ...]."""

    weights: dict[str, torch.Tensor]

    @classmethod
    def drawn(cls, many: int, rng: torch.Generator) -> "Policies":
        """Untrained ones."""
        shapes = {
            "prompt": (PROMPTS, HIDDEN),
            "token": (TOKENS + 1, 3 * HIDDEN),
            "state": (HIDDEN, 3 * HIDDEN),
            "state_bias": (1, 3 * HIDDEN),
            "out": (HIDDEN, TOKENS),
            "out_bias": (1, TOKENS),
        }
        scale = HIDDEN**-0.5
        return cls({name: scale * torch.randn(many, *shape, generator=rng) for name, shape in shapes.items()})

    def copied(self, times: int = 1) -> "Policies":
        """Copies that share nothing, the whole stack so many times over."""
        return Policies(
            {name: one.detach().repeat(times, *[1] * (one.dim() - 1)) for name, one in self.weights.items()}
        )

    def logits(self, prompts_S_N: torch.Tensor, tokens_S_N_T: torch.Tensor) -> torch.Tensor:
        """What follows each beginning of given answers: logits [S, N, T, tokens]."""
        many, n = prompts_S_N.shape
        before = torch.cat([tokens_S_N_T.new_full((many, n, 1), TOKENS), tokens_S_N_T[..., :-1]], dim=-1)
        seen = _one_hot(before.reshape(many, -1), TOKENS + 1) @ self.weights["token"]
        seen = seen.view(many, n, LENGTH, 3 * HIDDEN)
        state, states = self._begun(prompts_S_N), []
        for step in range(LENGTH):
            state = self._stepped(state, seen[:, :, step])
            states.append(state)
        stacked = torch.stack(states, dim=2).view(many, n * LENGTH, HIDDEN)
        return (stacked @ self.weights["out"] + self.weights["out_bias"]).view(many, n, LENGTH, TOKENS)

    def logps(self, prompts_S_N: torch.Tensor, tokens_S_N_T: torch.Tensor) -> torch.Tensor:
        """The log-probability of each token of given answers: [S, N, T]."""
        logps = self.logits(prompts_S_N, tokens_S_N_T).log_softmax(dim=-1)
        return logps.gather(-1, tokens_S_N_T[..., None])[..., 0]

    @torch.no_grad()
    def sample(self, prompts_S_N: torch.Tensor, noise_S_N_T_V: torch.Tensor) -> Sampled:
        """Answers at temperature 1, drawn by Gumbel noise: equal policies with equal noise answer alike."""
        state = self._begun(prompts_S_N)
        token = torch.full_like(prompts_S_N, TOKENS)
        drawn, logps, entropy = [], [], []
        for step in range(LENGTH):
            state = self._stepped(state, _one_hot(token, TOKENS + 1) @ self.weights["token"])
            logp = (state @ self.weights["out"] + self.weights["out_bias"]).log_softmax(dim=-1)
            token = (logp + noise_S_N_T_V[:, :, step]).argmax(dim=-1)
            drawn.append(token)
            logps.append(logp.gather(-1, token[..., None])[..., 0])
            entropy.append(-(logp.exp() * logp).sum(dim=-1))
        return Sampled(prompts_S_N, *(torch.stack(one, dim=-1) for one in (drawn, logps, entropy)))

    def _begun(self, prompts_S_N: torch.Tensor) -> torch.Tensor:
        return _one_hot(prompts_S_N, PROMPTS) @ self.weights["prompt"]

    def _stepped(self, state: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        told = state @ self.weights["state"] + self.weights["state_bias"]
        gates = torch.sigmoid(seen[..., : 2 * HIDDEN] + told[..., : 2 * HIDDEN])
        new = torch.tanh(seen[..., 2 * HIDDEN :] + gates[..., HIDDEN:] * told[..., 2 * HIDDEN :])
        return torch.lerp(new, state, gates[..., :HIDDEN])


def solutions(prompts_S_N: torch.Tensor) -> torch.Tensor:
    """The right class of each prompt."""
    return prompts_S_N % CLASSES


def judged(prompts_S_N: torch.Tensor, tokens_S_N_T: torch.Tensor) -> Parts:
    """Result, form and consistency of answers; what is not of the form is neither right nor consistent."""
    form = (tokens_S_N_T[..., [REASONING, ANSWER]] < CLASSES).all(dim=-1)
    for place, mark in enumerate(FORM):
        if mark is not None:
            form = form & (tokens_S_N_T[..., place] == mark)
    result = form & (tokens_S_N_T[..., ANSWER] == solutions(prompts_S_N))
    agrees = tokens_S_N_T[..., REASONING] == tokens_S_N_T[..., ANSWER]
    return Parts(result.float(), form.float(), torch.where(agrees, 1.0, -1.0) * form)


def gumbel(shape: tuple[int, ...], rng: torch.Generator) -> torch.Tensor:
    """Standard Gumbel noise."""
    return -torch.log(torch.empty(shape).exponential_(generator=rng))


def _one_hot(indices: torch.Tensor, size: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(indices, size).float()
