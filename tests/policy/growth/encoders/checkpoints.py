"""Tiny checkpoints of random weights, of each class that is read, as transformers itself writes them."""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

WIDTH = 16
_SHARED = {
    "hidden_size": WIDTH,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": 0.2,
}
_VISION = {**_SHARED, "image_size": 16, "patch_size": 8}


def write_checkpoint(kind: str, folder: Path) -> Path:
    """A checkpoint of model type `kind`, of one seed."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.manual_seed(1)
    for part in MADE[kind]():
        part.save_pretrained(folder)
    return folder


def clip() -> tuple[Any, ...]:
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    letters = [*string.ascii_lowercase, *(f"{c}</w>" for c in string.ascii_lowercase)]
    tokens = {token: i for i, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    text = {"vocab_size": 54, "max_position_embeddings": 24, "bos_token_id": 52, "eos_token_id": 53, "pad_token_id": 53}
    config = CLIPConfig(text_config={**_SHARED, **text}, vision_config=_VISION, projection_dim=12)
    return (
        CLIPModel(config),
        CLIPTokenizer(vocab=tokens, merges=[], model_max_length=24),
        CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
    )


def siglip() -> tuple[Any, ...]:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    words = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2, "cat": 3, "dog": 4}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    text = {"vocab_size": 5, "max_position_embeddings": 12, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    return (
        SiglipModel(SiglipConfig(text_config={**_SHARED, **text}, vision_config=_VISION)),
        PreTrainedTokenizerFast(
            tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=12
        ),
        SiglipImageProcessorPil(size={"height": 16, "width": 16}),
    )


def siglip2() -> tuple[Any, ...]:
    from transformers import Siglip2Config, Siglip2Model, Siglip2Tokenizer
    from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    tokens = {token: i for i, token in enumerate([*special, *string.ascii_lowercase, "▁"])}
    text = {"vocab_size": 32, "max_position_embeddings": 12, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
    vision = {**_SHARED, "num_patches": 16, "patch_size": 8}
    return (
        Siglip2Model(Siglip2Config(text_config={**_SHARED, **text}, vision_config=vision)),
        Siglip2Tokenizer(vocab=tokens, merges=[], model_max_length=12),
        Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16),
    )


def chinese_clip() -> tuple[Any, ...]:
    from transformers import BertTokenizer, ChineseCLIPConfig, ChineseCLIPModel
    from transformers.models.chinese_clip.image_processing_pil_chinese_clip import ChineseCLIPImageProcessorPil

    tokens = {
        token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"猫狗街头斗殴的一张照片"])
    }
    text = {**_SHARED, "vocab_size": len(tokens), "max_position_embeddings": 24}
    return (
        ChineseCLIPModel(ChineseCLIPConfig(text_config=text, vision_config=_VISION, projection_dim=12)),
        BertTokenizer(vocab=tokens, model_max_length=24),
        ChineseCLIPImageProcessorPil(
            size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, do_convert_rgb=True
        ),
    )


MADE: dict[str, Callable[[], tuple[Any, ...]]] = {
    "clip": clip,
    "siglip": siglip,
    "siglip2": siglip2,
    "chinese_clip": chinese_clip,
}
DIM = {"clip": 12, "siglip": WIDTH, "siglip2": WIDTH, "chinese_clip": 12}
