"""A tiny CLIP: its loss against hand-worked numbers, and that it learns to tell pictures by their texts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from contracts.errors import BadInputError
from policy.growth.encoders.checkpoint import open_encoder
from policy.growth.encoders.tiny import TinySettings, contrastive_loss, shifted, train_tiny
from policy.growth.pictures.decoding import Frame

QUICK = TinySettings(side=16, patch=4, hidden=32, layers=1, dim=16, steps=80, batch=24, rate=3e-3, warm_up=10)


def test_the_loss_of_as_many_texts_as_pictures_is_that_of_clip() -> None:
    torch.manual_seed(0)
    pictures, texts, scale = torch.randn(5, 4), torch.randn(5, 4), torch.tensor(7.0)
    logits = scale * normalize(pictures, dim=1) @ normalize(texts, dim=1).T
    own = torch.arange(5)
    clip = (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2
    torch.testing.assert_close(contrastive_loss(pictures, texts, own, scale), clip)


def test_two_pictures_of_one_text_are_both_its_own() -> None:
    # the pictures are e1, e1, e2 and the texts e1, e2: logits 2 where they agree, 0 where not
    pictures, texts = torch.eye(2)[[0, 0, 1]], torch.eye(2)
    loss = contrastive_loss(pictures, texts, torch.tensor([0, 0, 1]), torch.tensor(2.0))
    of_pictures = np.log(1 + np.exp(-2))
    of_first_text = np.log(2 + np.exp(-2))  # e^2 / (2 e^2 + 1) for each of its two
    of_second_text = np.log(1 + 2 * np.exp(-2))
    assert float(loss) == pytest.approx((of_pictures + (of_first_text + of_second_text) / 2) / 2, rel=1e-6)


def test_vectors_that_tell_nothing_lose_the_logarithm_of_their_number() -> None:
    same = torch.ones(4, 3)
    assert float(contrastive_loss(same, same, torch.arange(4), torch.tensor(10.0))) == pytest.approx(np.log(4))


def test_a_picture_is_seen_moved_a_little_and_mirrored_half_of_the_time_and_nothing_else() -> None:
    picture = torch.randint(256, (3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    seen = shifted(picture.expand(400, -1, -1, -1), 2, torch.Generator().manual_seed(2))
    assert seen.dtype == torch.float32
    wide = np.pad(picture.numpy(), ((0, 0), (2, 2), (2, 2)), mode="edge")
    moved = [wide[:, y : y + 6, x : x + 6] for y in range(5) for x in range(5)]
    allowed = {one.astype(np.float32).tobytes(): False for one in moved}
    allowed |= {one[:, :, ::-1].astype(np.float32).tobytes(): True for one in moved}
    found = [allowed[one.contiguous().numpy().tobytes()] for one in seen]
    assert 150 < sum(found) < 250
    assert len({one.contiguous().numpy().tobytes() for one in seen}) > 45, "nearly all 25 places, either way round"


def coloured(n: int, seed: int) -> list[tuple[Frame, str]]:
    """Noisy frames of odd sizes in one of six colours, and the colour's name."""
    rng = np.random.default_rng(seed)
    names = {
        "pure red": (220, 30, 30),
        "deep green": (30, 200, 30),
        "blue": (30, 30, 220),
        "white": (230, 230, 230),
        "black": (20, 20, 20),
        "黄色": (220, 220, 30),
    }
    found = []
    for i in range(n):
        name = list(names)[i % 6]
        noise = rng.normal(0, 25, (20 + i % 7, 30 - i % 5, 3))
        found.append(((np.array(names[name]) + noise).clip(0, 255).astype(np.uint8), name))
    return found


def test_what_it_learned_is_read_by_the_loader_and_tells_unseen_pictures_apart(tmp_path: Path) -> None:
    learned = train_tiny(coloured(120, 1), tmp_path / "tiny", QUICK)
    assert learned.last_loss < 0.5 * learned.first_loss
    encoder = open_encoder(tmp_path / "tiny", device="cpu")
    unseen = coloured(60, 2)
    names = sorted({name for _, name in unseen})
    nearest = (encoder.pictures([frame for frame, _ in unseen]) @ encoder.texts(names).T).argmax(axis=1)
    assert np.mean([names[i] == name for i, (_, name) in zip(nearest, unseen, strict=True)]) >= 0.95
    assert np.isfinite(encoder.texts(["never said before", "从来没有说过", ""])).all()


def test_the_same_pairs_and_seed_give_the_same_weights_whatever_was_drawn_before(tmp_path: Path) -> None:
    quick = TinySettings(side=8, patch=4, hidden=16, layers=1, heads=2, dim=8, steps=3, batch=6, warm_up=1)
    torch.manual_seed(5)
    train_tiny(coloured(12, 1), tmp_path / "one", quick)
    drawn = torch.rand(1)
    train_tiny(coloured(12, 1), tmp_path / "two", quick)
    for name in ("model.safetensors", "tokenizer.json", "preprocessor_config.json", "config.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    torch.manual_seed(5)
    assert torch.rand(1) == drawn, "the caller's own chance is left as it was"


def test_a_folder_that_is_there_and_a_single_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(BadInputError, match="is there already, a checkpoint is never overwritten"):
        train_tiny(coloured(12, 1), tmp_path / "there", QUICK)
    with pytest.raises(BadInputError, match="1 pairs of 1 texts, must be of two texts or more"):
        train_tiny(coloured(1, 1), tmp_path / "new", QUICK)
    assert not (tmp_path / "new").exists()
