"""A casebook in, `casebook.onnx` out: what `search` computes, as a model of its own.

Rows of zeros pad the precedents up to a capacity, so that a publication keeps its shapes: their cosine is
0, never above the floor. Case ids travel inside the model as bytes, so that citations are always those of
the version that served, on every backend and device.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from contracts.taxonomy import N_CATEGORIES
from serving.casebook.search import Casebook, Floats
from serving.scorer import N_CITED

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

LEAST_CAPACITY = 1_024
# Precedents searched by one matrix product: bounds the cosines held at once to 64 kB a video.
BLOCK = 16_384
# A matrix above this goes into a file of its own, which ONNX Runtime maps instead of parsing.
EMBEDDED_BYTES = 64 << 20
DATA_SUFFIX = ".data"
_OPSET, _IR_VERSION = 17, 8


def capacity_for(n_precedents: int) -> int:
    """Rows of the padded matrix: at least 1,024, then in steps of an eighth of the next power of two."""
    step = max(LEAST_CAPACITY, (1 << max(0, n_precedents - 1).bit_length()) // 8)
    return max(1, -(-n_precedents // step)) * step


def write_casebook(casebook: Casebook, path: Path) -> None:
    """Write `casebook.onnx`, and for a large one `casebook.onnx.data` beside it; the model appears last and whole."""
    import onnx

    data = path.with_name(path.name + DATA_SUFFIX)
    apart = capacity_for(len(casebook)) * casebook.width * 4 > EMBEDDED_BYTES
    if apart:
        matrices = _write_apart(_blocks(casebook), data)
    else:
        data.unlink(missing_ok=True)
        matrices = [onnx.numpy_helper.from_array(block, f"precedents_{i}") for i, block in _blocks(casebook)]
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(_model(casebook, matrices).SerializeToString())
    onnx.checker.check_model(str(partial), full_check=not apart)
    partial.replace(path)


def casebook_files(path: Path) -> tuple[Path, ...]:
    """The files that a written casebook consists of: the model, and its data file where it has one."""
    data = path.with_name(path.name + DATA_SUFFIX)
    return (path, data) if data.exists() else (path,)


def id_bytes(case_ids: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """Ids as UTF-8 padded with zeros, uint8 [P, W]: a tensor that every backend and device carries."""
    encoded = np.array([case_id.encode() for case_id in case_ids], dtype=np.bytes_)
    width = -(-max(1, encoded.itemsize) // 16) * 16
    return encoded.astype(f"S{width}").view(np.uint8).reshape(len(case_ids), width)


def ids_from_bytes(encoded: npt.NDArray[np.uint8]) -> npt.NDArray[np.object_]:
    """Turn uint8 [B, N, W] back into str ids, object [B, N]."""
    flat = np.ascontiguousarray(encoded).view(f"S{encoded.shape[-1]}").ravel().tolist()
    ids = np.empty(len(flat), dtype=object)
    ids[:] = [case_id.decode() for case_id in flat]
    return ids.reshape(encoded.shape[:-1])


def _blocks(casebook: Casebook) -> Iterator[tuple[int, Floats]]:
    """The precedents as matrices [D, block], padded with zeros up to the capacity."""
    capacity = capacity_for(len(casebook))
    for i, start in enumerate(range(0, capacity, BLOCK)):
        size = min(BLOCK, capacity - start)
        block = np.zeros((casebook.width, size), np.float32)
        rows = casebook.embeddings[start : start + size]
        block[:, : len(rows)] = (rows / _above(casebook)[start : start + size, None]).T
        yield i, block


def _floors(casebook: Casebook) -> Floats:
    return np.full(len(casebook), casebook.blend.floor, np.float32) if casebook.floors is None else casebook.floors


def _above(casebook: Casebook) -> Floats:
    """What the matrix is divided by: 1 where all have one floor, else the span over each one's."""
    floors = _floors(casebook)
    return np.ones_like(floors) if casebook.floors is None else np.float32(1.0) - floors


def _write_apart(blocks: Iterator[tuple[int, Floats]], data: Path) -> list["TensorProto"]:
    """Append each block to `data` and return tensors that point into it (offsets stay multiples of 4,096)."""
    import onnx

    tensors = []
    partial = data.with_name(f".{data.name}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        for i, block in blocks:
            place = {"location": data.name, "offset": str(file.tell()), "length": str(block.nbytes)}
            tensor = onnx.TensorProto(name=f"precedents_{i}", data_type=onnx.TensorProto.FLOAT, dims=block.shape)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.extend(
                onnx.StringStringEntryProto(key=key, value=value) for key, value in place.items()
            )
            tensors.append(tensor)
            file.write(block.data)
    partial.replace(data)
    return tensors


def _model(casebook: Casebook, matrices: list["TensorProto"]) -> "ModelProto":
    """The graph: a product and a top k for each block, a top k over theirs, the vote, the citations."""
    import onnx
    from onnx.helper import make_model, make_opsetid
    from onnx.numpy_helper import from_array

    blend, padding = casebook.blend, capacity_for(len(casebook)) - len(casebook) + 1
    product = (
        "MatMul(embedding, precedents_{0})" if casebook.floors is None else "Gemm(embedding, precedents_{0}, below_{0})"
    )
    search_blocks = "\n".join(
        f"""cosine_{i} = {product.format(i)}
        best_{i}, within_{i} = TopK(cosine_{i}, k)
        position_{i} = Add(within_{i}, start_{i})"""
        for i in range(len(matrices))
    )
    best = ", ".join(f"best_{i}" for i in range(len(matrices)))
    positions = ", ".join(f"position_{i}" for i in range(len(matrices)))
    if casebook.floors is None:
        ranked = """similarity, order = TopK(best, k)
        nearest = GatherElements <axis = 1> (positions, order)
        over_floor = Sub(similarity, floor)
        scaled = Div(over_floor, above_floor)"""
    else:
        ranked = """scaled, order = TopK(best, k)
        nearest = GatherElements <axis = 1> (positions, order)
        floor_here = Gather(floors, nearest)
        span = Sub(one, floor_here)
        over_floor = Mul(scaled, span)
        similarity = Add(over_floor, floor_here)"""
    graph = onnx.parser.parse_graph(f"""
    casebook (float[B, D] embedding, float[B, {N_CATEGORIES}] classifier)
    => (float[B, {N_CATEGORIES}] probabilities, uint8[B, {N_CITED}, W] cited_ids,
        int32[B, {N_CITED}] cited_categories, float[B, {N_CITED}] cited_similarities) {{
        {search_blocks}
        best = Concat <axis = 1> ({best})
        positions = Concat <axis = 1> ({positions})
        {ranked}
        closeness = Clip(scaled, zero, one)
        votes_here = Greater(closeness, zero)
        position = Where(votes_here, nearest, nobody)
        kernel = Pow(closeness, sharpness)
        voice = Gather(voices, position)
        category = Gather(categories, position)
        vote = Mul(kernel, voice)
        votes = Unsqueeze(vote, last)
        ruled = OneHot(category, n_categories, off_on)
        ballots = Mul(votes, ruled)
        heard = ReduceSum <keepdims = 0> (ballots, precedent_axis)
        total = ReduceSum <keepdims = 1> (heard, category_axis)
        both = Add(classifier, heard)
        voters = Add(total, one)
        probabilities = Div(both, voters)
        cited_position = Slice(position, first, n_cited, category_axis)
        cited_similarity = Slice(similarity, first, n_cited, category_axis)
        cited = Slice(votes_here, first, n_cited, category_axis)
        cited_ids = Gather(case_ids, cited_position)
        cited_categories = Gather(categories, cited_position)
        cited_similarities = Where(cited, cited_similarity, minus_one)
    }}""")
    constants: dict[str, npt.NDArray[np.generic]] = {
        "k": np.array([blend.k], np.int64),
        "floor": np.array(blend.floor, np.float32),
        "above_floor": np.array(1.0 - blend.floor, np.float32),
        "sharpness": np.array(blend.sharpness, np.float32),
        "zero": np.array(0.0, np.float32),
        "one": np.array(1.0, np.float32),
        "minus_one": np.array(-1.0, np.float32),
        "nobody": np.array(capacity_for(len(casebook)), np.int64),
        "last": np.array([-1], np.int64),
        "precedent_axis": np.array([1], np.int64),
        "category_axis": np.array([1], np.int64),
        "n_categories": np.array(N_CATEGORIES, np.int32),
        "off_on": np.array([0.0, 1.0], np.float32),
        "first": np.array([0], np.int64),
        "n_cited": np.array([N_CITED], np.int64),
        "voices": np.pad(casebook.voices, (0, padding)),
        "case_ids": np.pad(id_bytes(casebook.case_ids), ((0, padding), (0, 0))),
        "categories": np.pad(casebook.categories.astype(np.int32), (0, padding), constant_values=-1),
        **{f"start_{i}": np.array([i * BLOCK], np.int64) for i in range(len(matrices))},
    }
    if casebook.floors is not None:
        floors = np.pad(casebook.floors, (0, padding), constant_values=blend.floor)
        below = -floors / (np.float32(1.0) - floors)
        constants["floors"] = floors
        for i in range(len(matrices)):
            constants[f"below_{i}"] = below[i * BLOCK : min((i + 1) * BLOCK, capacity_for(len(casebook)))]
    graph.initializer.extend(matrices)
    graph.initializer.extend(from_array(value, name) for name, value in constants.items())
    return make_model(
        graph,
        opset_imports=[make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="precedent",
    )
