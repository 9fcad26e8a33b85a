"""Models of the real ones' inputs, outputs and order of cost, made in a second without training.

Serving is measured, and its tests run, with these: a table of n-gram vectors, the mean colour, two dense
layers; and a casebook of random directions.
"""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contracts.releases import CategoryThresholds, InputShape, Pin, Release, ReleasePointer, Thresholds
from contracts.taxonomy import N_CATEGORIES, VIOLATIVE
from contracts.verdicts import MODALITIES
from policy.releases import publish_casebook as write_published
from serving.casebook import Blend, Casebook, write_casebook
from serving.preprocess.inputs import SIGNALS, ModelInputs
from serving.releases import CASEBOOK, DIGESTED, MANIFEST, PRECEDENTS, STUDENT, ReleasesRoot, digest_of

SHAPE = InputShape(n_frames=3, frame_px=16, text_buckets=1_024, max_ngrams=1_024)


def write_student(path: Path, *, shape: InputShape = SHAPE, width: int = 64, seed: int = 0) -> None:
    """Write a `student.onnx` of random weights whose embedding has length `width`."""
    import onnx

    rng = np.random.default_rng(seed)
    hidden = 128
    graph = onnx.parser.parse_graph(f"""
    student (uint8[B, F, H, W, 3] frames, int32[B, L] ngram_ids, uint8[B, L] ngram_counts,
             float[B, {len(SIGNALS)}] signals, uint8[B, {len(MODALITIES)}] present)
    => (float[B, {N_CATEGORIES}] classifier, float[B, {width}] embedding) {{
        pixels = Cast <to = 1> (frames)
        colour = ReduceMean <axes = [1, 2, 3], keepdims = 0> (pixels)
        tint = Mul(colour, per_pixel)
        rows = Gather(table, ngram_ids)
        counts = Cast <to = 1> (ngram_counts)
        weights = Unsqueeze(counts, middle)
        bags = MatMul(weights, rows)
        bag = Squeeze(bags, middle)
        given = Cast <to = 1> (present)
        all = Concat <axis = 1> (tint, bag, signals, given)
        mixed = MatMul(all, mix)
        active = Relu(mixed)
        logits = MatMul(active, head)
        classifier = Softmax <axis = 1> (logits)
        raw = MatMul(active, direction)
        embedding = LpNormalization <axis = 1, p = 2> (raw)
    }}""")
    n_mixed = 3 + 64 + len(SIGNALS) + len(MODALITIES)
    weights = {
        "per_pixel": np.array(1 / 255, np.float32),
        "middle": np.array([1], np.int64),
        "table": rng.standard_normal((3 * shape.text_buckets, 64), dtype=np.float32) / 8,
        "mix": rng.standard_normal((n_mixed, hidden), dtype=np.float32) / 8,
        "head": rng.standard_normal((hidden, N_CATEGORIES), dtype=np.float32) / 8,
        "direction": rng.standard_normal((hidden, width), dtype=np.float32) / 8,
    }
    graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in weights.items())
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def random_casebook(
    n_precedents: int, *, width: int = 64, blend: Blend | None = None, seed: int = 0, prefix: str = "case"
) -> Casebook:
    """A casebook of `n_precedents` random directions, ids `<prefix>-0000000` and on."""
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((n_precedents, width), dtype=np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return Casebook(
        embeddings=embeddings,
        case_ids=tuple(f"{prefix}-{i:07d}" for i in range(n_precedents)),
        categories=rng.integers(0, N_CATEGORIES, n_precedents).astype(np.int32),
        weights=rng.uniform(0.5, 2.0, n_precedents).astype(np.float32),
        blend=blend or Blend(floor=0.2),
    )


def write_release(root: Path, version: int, casebook: Casebook, *, shape: InputShape = SHAPE) -> Pin:
    """Write release `version`, whose casebook has the same version, under a releases root."""
    folder = ReleasesRoot(root).release_path(version)
    folder.mkdir(parents=True)
    write_student(folder / STUDENT, shape=shape, width=casebook.width, seed=version)
    write_casebook(casebook, folder / CASEBOOK)
    (folder / PRECEDENTS).write_bytes(b"")
    never = CategoryThresholds(demote=1.01, review=1.01, remove=1.01)
    release = Release(
        version=version,
        parent=None,
        created_at=datetime.now(UTC),
        inputs=shape,
        thresholds=Thresholds(toxicity=1.0, by_category=dict.fromkeys(VIOLATIVE, never)),
        casebook_version=version,
        n_cases=len(casebook),
        digests={name: digest_of(folder / name) for name in DIGESTED},
        metrics={},
        trained_on="sha256:" + "0" * 64,
    )
    (folder / MANIFEST).write_text(release.model_dump_json())
    return Pin(release_version=version, casebook_version=version)


def publish_casebook(root: Path, version: int, casebook: Casebook) -> None:
    """Publish a casebook after release 1, without the precedents that it was made of."""
    pin = Pin(release_version=1, casebook_version=version)
    write_published(ReleasesRoot(root), pin, casebook, (), now=datetime.now(UTC))


def point_to(root: Path, live: Pin, *, canary: Pin | None = None, share: float = 0.0) -> None:
    """Move the pointer of a releases root."""
    path = ReleasesRoot(root).pointer_path
    pointer = ReleasePointer(live=live, canary=canary, canary_share=share, updated_at=datetime.now(UTC))
    draft = path.with_suffix(".partial")
    draft.write_text(pointer.model_dump_json())
    draft.replace(path)


def random_inputs(
    n_videos: int, *, n_ngrams: int = 256, media: bool = False, shape: InputShape = SHAPE, seed: int = 0
) -> ModelInputs:
    """Inputs of `n_videos` videos with `n_ngrams` n-grams each, all with media or none."""
    rng = np.random.default_rng(seed)
    frames: npt.NDArray[np.uint8] = np.zeros((n_videos, 1, 8, 8, 3), np.uint8)
    if media:
        stack = (n_videos, shape.n_frames, shape.frame_px, shape.frame_px, 3)
        frames = rng.integers(0, 256, stack).astype(np.uint8)
    present = np.ones((n_videos, len(MODALITIES)), np.uint8)
    present[:, 0] = media
    return ModelInputs(
        frames=frames,
        ngram_ids=rng.integers(0, 3 * shape.text_buckets, (n_videos, n_ngrams)).astype(np.int32),
        ngram_counts=rng.integers(1, 4, (n_videos, n_ngrams)).astype(np.uint8),
        signals=rng.standard_normal((n_videos, len(SIGNALS)), dtype=np.float32),
        present=present,
    )
