"""Rows in, sampled answers out, by a model in this process: what DPO learns from, and what an evaluation reads."""

from collections.abc import Callable, Sequence
from typing import Any

from policy.reasoning.rows import Row, chat_of, pictures_of


def sample(
    model: Any,
    processor: Any,
    rows: Sequence[Row],
    *,
    k: int = 1,
    temperature: float = 0.0,
    most_tokens: int = 512,
    batch: int = 64,
    seed: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[list[str]]:
    """K answers to each row, in the rows' order; at temperature 0 the likeliest, which allows k = 1 alone.

    With a `seed` the same answers each time.
    """
    import torch

    if seed is not None:
        torch.manual_seed(seed)
    model.eval()
    found, step = list[list[str]](), max(1, batch // k)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        asked = encode(processor, some)
        with torch.no_grad():
            out = model.generate(
                **asked,
                max_new_tokens=most_tokens,
                do_sample=temperature > 0.0,
                **({"temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature > 0.0 else {}),
                num_return_sequences=k,
            )
        texts = processor.batch_decode(out[:, asked["input_ids"].shape[1] :], skip_special_tokens=True)
        found += [texts[at : at + k] for at in range(0, len(texts), k)]
        advance(len(some))
    return found


def encode(processor: Any, rows: Sequence[Row]) -> Any:
    """The prompts of rows as one batch of tensors, padded at the left."""
    pictures = [pictures_of(row) for row in rows]
    return processor(
        text=[prompt_of(processor, row) for row in rows],
        images=pictures if any(pictures) else None,
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )


def prompt_of(processor: Any, row: Row) -> str:
    """A row's prompt as the model reads it, a picture as one mark."""
    return processor.apply_chat_template(chat_of(row.messages), add_generation_prompt=True, tokenize=False)


def longer_than_context(model: Any, processor: Any, rows: Sequence[Row], answer_tokens: int) -> dict[str, int]:
    """The rows whose prompt and an answer of so many tokens do not fit the model's context: tokens of each, by id."""
    context = int(model.config.get_text_config().max_position_embeddings)
    needed = {row.row_id: prompt_tokens(processor, row) + answer_tokens for row in rows}
    return {row_id: tokens for row_id, tokens in needed.items() if tokens > context}


def prompt_tokens(processor: Any, row: Row) -> int:
    """Tokens of a row's prompt, those of its pictures with it."""
    return int(encode(processor, [row])["input_ids"].shape[1])
