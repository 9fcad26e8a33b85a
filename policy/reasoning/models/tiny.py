"""Texts that a model will read and write in, a tiny untrained VLM of the Qwen2.5-VL class out, as a checkpoint folder.

It is of the same class as the 7B ones, loaded by the same auto classes, prompted by the same messages, trained by the
same code; only its sizes are small. Its tokens are learned from the texts (byte-level BPE without a split at spaces),
so that a long instruction that never changes costs a handful of tokens.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.errors import BadInputError

PAD, END, IMAGE, VIDEO = "<|endoftext|>", "<|im_end|>", "<|image_pad|>", "<|video_pad|>"
SPECIAL = (PAD, "<|im_start|>", END, "<|vision_start|>", "<|vision_end|>", IMAGE, VIDEO)
CHAT_TEMPLATE = (
    "{%- for message in messages -%}<|im_start|>{{ message.role + '\\n' }}"
    "{%- if message.content is string -%}{{ message.content }}"
    "{%- else -%}{%- for part in message.content -%}"
    "{%- if part.type in ('image', 'image_url') -%}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- elif part.type == 'text' -%}{{ part.text }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}<|im_end|>\n{% endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n{% endif -%}"
)
"""ChatML with Qwen's vision tokens."""
_PIECES = r"\n|，|, |\||>|: |\. "
"""Where tokens end: at the ends of lines and phrases, not of words."""


@dataclass(frozen=True, slots=True)
class TinySizes:
    """How small: 64 x 64 pictures in patches of 8, four of which make one token, give 16 tokens a picture.

    spread: standard deviation of the first weights, near 1 / sqrt(hidden); with the 0.02 of wide models so narrow a
    one learns a third as fast.
    """

    vocabulary: int = 4_096
    hidden: int = 128
    layers: int = 3
    heads: int = 4
    vision_hidden: int = 64
    vision_depth: int = 2
    patch: int = 8
    side: int = 64
    context: int = 2_048
    spread: float = 0.06


def build_tiny(folder: Path, texts: Sequence[str], *, sizes: TinySizes | None = None, seed: int = 0) -> None:
    """Write an untrained checkpoint into a new folder; the same texts, sizes and seed write the same weights.

    Raises `BadInputError` where the folder is there already.
    """
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration, set_seed

    if folder.exists():
        raise BadInputError(f"{folder}: is there already, a checkpoint is never overwritten")
    sizes = sizes or TinySizes()
    processor = _processor(_tokenizer(texts, sizes), sizes)
    set_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(_config(processor.tokenizer, sizes)).to(torch.float32)
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _said_always(texts: Sequence[str]) -> list[str]:
    """Lines that stand in a third of the texts or more, such as those of the instruction: a token each."""
    times = Counter(line for text in texts for line in set(text.split("\n")) if len(line) > 20)
    return [line for line, n in times.items() if 3 * n >= len(texts)]


def _tokenizer(texts: Sequence[str], sizes: TinySizes) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_PIECES), "merged_with_previous"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=sizes.vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    inner.add_tokens([AddedToken(line, normalized=False) for line in _said_always(texts)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=list(SPECIAL[1:]),
        model_max_length=sizes.context,
        padding_side="left",
    )


def _processor(tokenizer: Any, sizes: TinySizes) -> Any:
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    pixels = sizes.side * sizes.side
    shape = {"patch_size": sizes.patch, "merge_size": 2, "temporal_patch_size": 2}
    size = {"shortest_edge": pixels, "longest_edge": pixels}
    return Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=size, **shape),
        tokenizer,
        Qwen2VLVideoProcessor(size=size, **shape),
        chat_template=CHAT_TEMPLATE,
    )


def _config(tokenizer: Any, sizes: TinySizes) -> Any:
    from transformers import Qwen2_5_VLConfig

    ids: Sequence[int] = [tokenizer.convert_tokens_to_ids(token) for token in SPECIAL]
    head = sizes.hidden // sizes.heads
    turned = head // 2
    sections = [turned - 2 * (turned // 3), turned // 3, turned // 3]  # of time, height and width: all of half a head
    return Qwen2_5_VLConfig(
        initializer_range=sizes.spread,
        text_config={
            "initializer_range": sizes.spread,
            "vocab_size": len(tokenizer),
            "hidden_size": sizes.hidden,
            "intermediate_size": 4 * sizes.hidden,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "num_key_value_heads": sizes.heads,
            "max_position_embeddings": sizes.context,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": sections},
            "bos_token_id": ids[0],
            "eos_token_id": ids[2],
            "pad_token_id": ids[0],
            "tie_word_embeddings": True,
        },
        vision_config={
            "initializer_range": sizes.spread,
            "depth": sizes.vision_depth,
            "hidden_size": sizes.vision_hidden,
            "intermediate_size": 4 * sizes.vision_hidden,
            "num_heads": sizes.heads,
            "patch_size": sizes.patch,
            "out_hidden_size": sizes.hidden,
            "window_size": sizes.side,
            "fullatt_block_indexes": list(range(sizes.vision_depth)),
        },
        image_token_id=ids[5],
        video_token_id=ids[6],
        vision_start_token_id=ids[3],
        vision_end_token_id=ids[4],
        tie_word_embeddings=True,
    )
