"""Frames and what is said of them in, a tiny CLIP that learned to tell them apart out, as a checkpoint folder.

It is a CLIP of the same class, tokenizer and image processor as the large ones, read by the same loader; only its
sizes are small. The loss is CLIP's (arXiv 2103.00020, figure 3), but for texts that stand in a batch more than once.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from contracts.errors import BadInputError
from policy.growth.pictures.decoding import Frame

START, END = "<|startoftext|>", "<|endoftext|>"
_LARGEST_SCALE = 100.0
"""Where CLIP clips what logits are multiplied by (section 2.5)."""


@dataclass(frozen=True, slots=True)
class TinySettings:
    """How small and how long: 800 steps of 64 pictures of 64 x 64 take about two minutes on a core.

    shift: by how many pixels a picture is moved at most, each time it is seen, and mirrored or not: so that what is
    learned of a few thousand is not their backgrounds.
    """

    side: int = 64
    patch: int = 8
    hidden: int = 64
    layers: int = 2
    heads: int = 4
    dim: int = 64
    context: int = 32
    vocabulary: int = 2_048
    steps: int = 800
    batch: int = 64
    rate: float = 1e-3
    warm_up: int = 50
    decay: float = 0.05
    shift: int = 4
    seed: int = 0


class Learned(NamedTuple):
    """What training reached: the mean loss of its first and last 20 steps."""

    first_loss: float
    last_loss: float


def train_tiny(
    pairs: Sequence[tuple[Frame, str]],
    out: Path,
    settings: TinySettings | None = None,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> Learned:
    """Train a tiny CLIP on N pairs of a frame, uint8 [H, W, 3], and a text; `advance` is told of each step.

    The folder is written whole or not at all. Raises `BadInputError` where it is there already, or the pairs say
    fewer than two texts.
    """
    import torch

    settings = settings or TinySettings()
    texts = sorted({text for _, text in pairs})
    if len(texts) < 2:
        raise BadInputError(f"{len(pairs)} pairs of {len(texts)} texts, must be of two texts or more to tell apart")
    if out.exists():
        raise BadInputError(f"{out}: is there already, a checkpoint is never overwritten")
    tokenizer, processor = _tokenizer(texts, settings), _processor(settings)
    pixels_N = _pixels(processor, [frame for frame, _ in pairs])
    tokens_T = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    text_of_N = torch.tensor(np.searchsorted(texts, [text for _, text in pairs]))
    mean, std = (torch.tensor(of).view(1, 3, 1, 1) for of in (processor.image_mean, processor.image_std))

    chance = torch.Generator().manual_seed(settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = _model(tokenizer, settings)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.rate, weight_decay=settings.decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share_of_rate(step, settings))
    losses = list[float]()
    for _ in range(settings.steps):
        rows = torch.randint(len(pairs), (settings.batch,), generator=chance)
        said_U, text_of_B = torch.unique(text_of_N[rows], return_inverse=True)
        seen_B = shifted(pixels_N[rows], settings.shift, chance)
        pictures_B_D = model.get_image_features((seen_B / 255.0 - mean) / std).pooler_output
        told = {name: tokens[said_U] for name, tokens in tokens_T.items()}
        texts_U_D = model.get_text_features(**told).pooler_output
        loss = contrastive_loss(pictures_B_D, texts_U_D, text_of_B, model.logit_scale.exp())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=float(np.log(_LARGEST_SCALE)))
        losses.append(float(loss.detach()))
        advance(1)
    _write(out, model.eval(), tokenizer, processor)
    return Learned(float(np.mean(losses[:20])), float(np.mean(losses[-20:])))


def contrastive_loss(pictures_B_D: Any, texts_U_D: Any, text_of_B: Any, scale: Any) -> Any:
    """CLIP's symmetric cross-entropy (arXiv 2103.00020, figure 3) where several pictures may have one text.

    Each of the U texts stands once; `text_of_B` says which is each picture's, and every text has a picture. A picture
    must tell its text from the others, a text its pictures, all alike, from those of the others. With U = B it is
    CLIP's.
    """
    import torch
    from torch.nn.functional import cross_entropy, normalize, one_hot

    logits_B_U = scale * normalize(pictures_B_D, dim=-1) @ normalize(texts_U_D, dim=-1).T
    own_U_B = one_hot(text_of_B, len(texts_U_D)).T.to(logits_B_U.dtype)
    own_U_B = own_U_B / own_U_B.sum(dim=1, keepdim=True)
    return torch.stack([cross_entropy(logits_B_U, text_of_B), cross_entropy(logits_B_U.T, own_U_B)]).mean()


def shifted(pixels_B: Any, shift: int, chance: Any) -> Any:
    """Pictures moved by up to `shift` pixels, their edges repeated, and half of them mirrored: float32 as they were."""
    import torch

    n, _, side, _ = pixels_B.shape
    at = torch.randint(2 * shift + 1, (2, n, 1), generator=chance) + torch.arange(side)
    rows, columns = (at - shift).clamp(0, side - 1)
    mirrored = torch.rand((n, 1), generator=chance) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    picked = pixels_B[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # [B, S, S, 3]
    return picked.permute(0, 3, 1, 2).float()


def _share_of_rate(step: int, settings: TinySettings) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    done = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    return 0.5 * (1.0 + float(np.cos(np.pi * done)))


def _pixels(processor: Any, frames: Sequence[Frame]) -> Any:
    """The frames as the processor would hand them to the model, short of its scaling: uint8 [N, 3, S, S]."""
    import torch
    from PIL import Image

    def told(frame: Frame) -> Any:
        image = Image.fromarray(frame)
        whole = processor(images=[image], do_rescale=False, do_normalize=False, return_tensors="pt")["pixel_values"]
        return whole.round().clamp(0, 255).to(torch.uint8)

    return torch.cat([told(frame) for frame in frames])


def _tokenizer(texts: Sequence[str], settings: TinySettings) -> Any:
    """A tokenizer of CLIP's class: bytes, bytes that end a word, and what the texts merge most often."""
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    plain = CLIPTokenizer().backend_tokenizer
    inner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    inner.normalizer, inner.pre_tokenizer = plain.normalizer, plain.pre_tokenizer
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    known = [*letters, *(f"{letter}</w>" for letter in letters)]
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary - len(letters) - 2,
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    merges = [tuple(pair) for pair in json.loads(inner.to_str())["model"]["merges"]]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*known, *("".join(pair) for pair in merges)]))}
    vocabulary |= {START: len(vocabulary), END: len(vocabulary) + 1}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=settings.context)


def _processor(settings: TinySettings) -> Any:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    side = {"height": settings.side, "width": settings.side}
    return CLIPImageProcessorPil(size=side, do_center_crop=False)  # what stands at an edge is not cut off


def _model(tokenizer: Any, settings: TinySettings) -> Any:
    from transformers import CLIPConfig, CLIPModel

    shared = {
        "hidden_size": settings.hidden,
        "intermediate_size": 4 * settings.hidden,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "projection_dim": settings.dim,
    }
    text = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": settings.context,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {"image_size": settings.side, "patch_size": settings.patch}
    return CLIPModel(CLIPConfig(text_config=shared | text, vision_config=shared | vision, projection_dim=settings.dim))


def _write(out: Path, model: Any, tokenizer: Any, processor: Any) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        for part in (model, tokenizer, processor):
            part.save_pretrained(draft)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
