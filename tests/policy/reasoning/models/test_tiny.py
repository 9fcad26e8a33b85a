"""The tiny VLM is a VLM: what it reads, sees and writes is what one of 7B would, padded or not, sampled or scored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from contracts.errors import BadInputError
from policy.reasoning.models.checkpoint import Checkpoint, weights_digest
from policy.reasoning.models.sampling import encode, longer_than_context, prompt_of, prompt_tokens, sample
from policy.reasoning.models.tiny import build_tiny
from policy.reasoning.rows import Row, chat_of, said_by, texts_of
from tests.policy.reasoning.models.conftest import SMALL


def logits_of(checkpoint: Checkpoint, rows: list[Row]) -> torch.Tensor:
    """The next token's logits after each prompt."""
    with torch.no_grad():
        return checkpoint.model(**encode(checkpoint.processor, rows)).logits[:, -1]


def test_the_same_texts_and_seed_write_the_same_weights_and_no_folder_is_written_over(
    built: Path, rows: list[Row], tmp_path: Path
) -> None:
    build_tiny(tmp_path / "again", texts_of(rows), sizes=SMALL, seed=1)
    build_tiny(tmp_path / "other", texts_of(rows), sizes=SMALL, seed=2)
    assert weights_digest(tmp_path / "again") == weights_digest(built)
    assert weights_digest(tmp_path / "other") != weights_digest(built)
    with pytest.raises(BadInputError, match="is there already, a checkpoint is never overwritten"):
        build_tiny(built, ["x"])


def test_a_prompt_is_the_beginning_of_the_prompt_with_its_answer(checkpoint: Checkpoint, rows: list[Row]) -> None:
    for row in rows[:8]:
        whole = checkpoint.processor.apply_chat_template(chat_of(row.messages) + said_by("so"), tokenize=False)
        assert whole == prompt_of(checkpoint.processor, row) + "so<|im_end|>\n"


def test_padding_changes_nothing(checkpoint: Checkpoint, rows: list[Row]) -> None:
    short, long = min(rows, key=lambda r: len(str(r.messages))), max(rows, key=lambda r: len(str(r.messages)))
    together = logits_of(checkpoint, [short, long])
    torch.testing.assert_close(together[0], logits_of(checkpoint, [short])[0], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(together[1], logits_of(checkpoint, [long])[0], atol=1e-4, rtol=1e-3)


def test_what_it_samples_is_what_a_forward_pass_finds_likeliest(checkpoint: Checkpoint, rows: list[Row]) -> None:
    asked = encode(checkpoint.processor, rows[:1])
    with torch.no_grad():
        out = checkpoint.model.generate(**asked, max_new_tokens=4, do_sample=False)
        for at in range(asked["input_ids"].shape[1], out.shape[1]):
            types = torch.zeros(1, at, dtype=torch.long)
            types[:, : asked["input_ids"].shape[1]] = asked["mm_token_type_ids"]
            given = dict(asked) | {
                "input_ids": out[:, :at],
                "attention_mask": torch.ones(1, at, dtype=torch.long),
                "mm_token_type_ids": types,
            }
            assert int(checkpoint.model(**given).logits[0, -1].argmax()) == int(out[0, at])


def test_it_sees_its_pictures_of_any_size_and_how_many_there_are(checkpoint: Checkpoint, rows: list[Row]) -> None:
    [one] = rows[:1]
    black = replace(one, pictures=[np.zeros_like(picture) for picture in one.pictures])
    assert not torch.allclose(logits_of(checkpoint, [one]), logits_of(checkpoint, [black]))
    odd = replace(one, pictures=[np.full((37, 91, 3), 90, np.uint8), np.full((64, 64, 3), 90, np.uint8)])
    assert torch.isfinite(logits_of(checkpoint, [odd])).all()
    marks = checkpoint.processor.tokenizer(prompt_of(checkpoint.processor, one))["input_ids"]
    assert prompt_tokens(checkpoint.processor, one) == len(marks) + 2 * (16 - 1), "each picture is 16 tokens"


def test_rows_that_do_not_fit_the_context_are_named_with_their_tokens(checkpoint: Checkpoint, rows: list[Row]) -> None:
    tokens = prompt_tokens(checkpoint.processor, rows[0])
    context = checkpoint.model.config.get_text_config().max_position_embeddings
    fits, over = context - tokens, context - tokens + 1
    assert longer_than_context(checkpoint.model, checkpoint.processor, rows[:1], fits) == {}
    assert longer_than_context(checkpoint.model, checkpoint.processor, rows[:1], over) == {rows[0].row_id: context + 1}


def test_as_many_answers_as_were_asked_for_come_in_the_rows_order(checkpoint: Checkpoint, rows: list[Row]) -> None:
    torch.manual_seed(0)
    answers = sample(checkpoint.model, checkpoint.processor, rows[:5], k=3, temperature=1.0, most_tokens=6, batch=6)
    assert [len(one) for one in answers] == [3] * 5
    assert len({text for some in answers for text in some}) > 5
    greedy = sample(checkpoint.model, checkpoint.processor, rows[:5], most_tokens=6, batch=2)
    assert greedy == [sample(checkpoint.model, checkpoint.processor, [row], most_tokens=6)[0] for row in rows[:5]]
