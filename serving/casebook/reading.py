"""A written `casebook.onnx` in, the `Casebook` that it was made of out: what another publication starts from."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from contracts.errors import BadInputError
from serving.casebook.onnx_model import ids_from_bytes
from serving.casebook.search import Blend, Casebook


def read_casebook(path: Path, weights: Mapping[str, float]) -> Casebook:
    """Read the model at `path`; `weights` has that of each precedent, which the model keeps only in its voice.

    Embeddings, ids, categories and the blend come from the model. Raises `BadInputError` where it is no casebook, or
    has a precedent without weight.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path))
        held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        categories = held["categories"]
        n = int((categories >= 0).sum())
        case_ids = tuple(ids_from_bytes(held["case_ids"][:n, None])[:, 0].tolist())
        if unweighed := [case_id for case_id in case_ids if case_id not in weights]:
            raise BadInputError(f"{path}: cites {unweighed[0]!r}, must cite only precedents that are kept with it")
        blocks = [held[f"precedents_{i}"] for i in range(sum(name.startswith("precedents_") for name in held))]
        weighed = np.array([weights[case_id] for case_id in case_ids], np.float32)
        heard = held["voices"][:n] / weighed
        taught = int(np.cumprod(np.isclose(heard, heard[:1], rtol=1e-4)).sum())
        usual = Blend()
        blend = Blend(
            k=int(held["k"][0]),
            sharpness=float(held["sharpness"]),
            floor=float(held["floor"]),
            strength=float(heard[0]) if n else usual.strength,
            news=float(heard[taught]) if taught < n else usual.news,
        )
        embeddings = np.ascontiguousarray(np.concatenate(blocks, axis=1).T[:n])
        floors = held["floors"][:n] if "floors" in held else None
        if floors is not None:
            embeddings = embeddings * (np.float32(1.0) - floors)[:, None]
        return Casebook(
            embeddings=embeddings,
            case_ids=case_ids,
            categories=categories[:n].astype(np.int32),
            weights=weighed,
            blend=blend,
            n_taught=taught,
            floors=floors,
        )
    except (OSError, DecodeError, KeyError, ValueError, IndexError) as error:
        raise BadInputError(f"{path}: is not a casebook model: {type(error).__name__} {error}") from error
