"""An answer and what is right in, its reward out: R1-Reward's formula (arXiv 2505.02835), and who asks for its parts.

    reward = result x (1 + 0.5 consistency) + 0.5 format

A ruling on a video must be of the form of `contracts.reasoning`, a preference of its envelope alone. An answer that is
not of the form is no answer: nothing is read from it, so that result is 0 where format is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, get_args

from contracts.errors import BadInputError
from contracts.reasoning import Enveloped, Reasoning, Unparsed, parse, parse_envelope, render_states
from contracts.taxonomy import Category

Consistency = Literal[-1, 0, 1]
PREFERENCES = ("1", "2")
MOST_RULES, OTHERS = 100, "others"
"""A reason may quote the answer that broke the rule: past so many different ones they are counted together."""
_SOLUTIONS = {"ruling": frozenset(category.value for category in Category), "preference": frozenset(PREFERENCES)}

Number = TypeVar("Number", bound=Any)


class Scored(NamedTuple):
    """What an answer earned: result and format in {0, 1}, consistency in {-1, 0, 1}, and the reward of them."""

    result: int
    format: int
    consistency: Consistency
    reward: float


class ConsistencyJudge(Protocol):
    """Finds whether a reasoning concludes an answer: 1 yes, -1 no, 0 where it gives no usable opinion."""

    def consistency(self, reasoning: str, answer: str) -> Consistency: ...


def reward_of(result: Number, form: Number, consistency: Number) -> Number:
    """R1-Reward's formula, of numbers or of arrays and tensors of them."""
    return result * (1.0 + 0.5 * consistency) + 0.5 * form


def score(text: str, task: str, solution: str, consistency: Consistency) -> Scored:
    """Score an answer to a task whose right answer is `solution`; consistency counts only where the result is right.

    Raises `BadInputError` for another task, solution or consistency.
    """
    if consistency not in get_args(Consistency):
        raise BadInputError(f"consistency == {consistency!r}, must be -1, 0 or 1")
    read = read_answer(text, task, solution)
    if isinstance(read, Unparsed):
        return Scored(0, 0, 0, 0.0)
    result = int(read.answer == solution)
    agrees: Consistency = consistency if result else 0
    return Scored(result, 1, agrees, reward_of(result, 1, agrees))


def read_answer(text: str, task: str, solution: str) -> Enveloped | Unparsed:
    """Reasoning and answer of a text, or which rule of the task's form it breaks; raises as `score` does."""
    if task not in _SOLUTIONS:
        raise BadInputError(f"task == {task!r}, must be one of {', '.join(_SOLUTIONS)}")
    if solution not in _SOLUTIONS[task]:
        raise BadInputError(f"solution == {solution!r}, must be one of {', '.join(sorted(_SOLUTIONS[task]))} ({task})")
    if task == "ruling":
        ruled = parse(text)
        return Enveloped(render_states(ruled), ruled.category.value) if isinstance(ruled, Reasoning) else ruled
    read = parse_envelope(text)
    if isinstance(read, Enveloped) and read.answer not in PREFERENCES:
        return Unparsed("the answer must be 1 or 2")
    return read


@dataclass(eq=False)
class AnswerReward:
    """Rewards a batch of sampled answers, in the form in which TRL asks its reward functions.

    The judge is asked only where the answer is right: elsewhere the reward does not depend on it. Without one,
    consistency is 0. `unparsed` counts what broke the form, at most `MOST_RULES` rules by name; `scored` keeps the
    latest batch.
    """

    judge: ConsistencyJudge | None = None
    unparsed: dict[str, int] = field(default_factory=dict)
    scored: list[Scored] = field(default_factory=list)

    def __call__(
        self,
        completions: Sequence[Any],
        solution: Sequence[str],
        task: Sequence[str],
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float]:
        """Rewards of completions, texts or messages; raises `DependencyError` where the judge does not answer."""
        self.scored = [
            self._score(text_of(one), its_task, right)
            for one, its_task, right in zip(completions, task, solution, strict=True)
        ]
        if log_metric is not None:
            for name in ("result", "format", "consistency"):
                log_metric(f"reward/{name}", sum(getattr(one, name) for one in self.scored) / len(self.scored))
        return [one.reward for one in self.scored]

    def _score(self, text: str, task: str, solution: str) -> Scored:
        read = read_answer(text, task, solution)
        if isinstance(read, Unparsed):
            rule = read.reason if read.reason in self.unparsed or len(self.unparsed) < MOST_RULES else OTHERS
            self.unparsed[rule] = self.unparsed.get(rule, 0) + 1
        agrees: Consistency = 0
        if self.judge is not None and isinstance(read, Enveloped) and read.answer == solution:
            agrees = self.judge.consistency(read.think, read.answer)
        return score(text, task, solution, agrees)


def text_of(completion: Any) -> str:
    """The text of a completion: a string, or messages whose contents are strings or text parts."""
    if isinstance(completion, str):
        return completion
    contents = [message["content"] for message in completion]
    parts = [[{"text": one}] if isinstance(one, str) else one for one in contents]
    return "".join(part.get("text", "") for some in parts for part in some)
