"""What a step of growth asks with: a question in, what an endpoint said out, paid at most once."""

from typing import NamedTuple, Protocol

from policy.reasoning.question import Messages

LLM = "llm"
"""The seat of the one endpoint that grows, strikes and writes questions; referees sit in seats of their own."""


class Said(NamedTuple):
    """What came back: its text, or by which rule it cannot be used; tokens as the endpoint counts them."""

    text: str
    unusable: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class AwayError(Exception):
    """The endpoint of this seat does not answer; where others can decide, they do."""


class Ask(Protocol):
    """Asks one seat. The same item and attempt are one request, however often a run is taken up again."""

    async def __call__(self, item_id: str, attempt: int, messages: Messages, *, seat: str = LLM) -> Said: ...
