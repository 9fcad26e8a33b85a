"""Decided cases in, cited precedents and a blended probability out; the same in NumPy and in ONNX."""

from serving.casebook.onnx_model import capacity_for, casebook_files, id_bytes, ids_from_bytes, write_casebook
from serving.casebook.reading import read_casebook
from serving.casebook.search import Blend, Casebook, search

__all__ = [
    "Blend",
    "Casebook",
    "capacity_for",
    "casebook_files",
    "id_bytes",
    "ids_from_bytes",
    "read_casebook",
    "search",
    "write_casebook",
]
