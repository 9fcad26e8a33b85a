"""A release's two ONNX files in, a Triton model repository out: three models for each pin, never rewritten.

    student_r3/3/model.onnx         the student of release 3
    casebook_r3_c7/7/model.onnx     casebook version 7, embedded by that student
    precedent_r3_c7/1/              the ensemble of exactly these two: what a worker asks for

Each version is a model of its own. Versions of one Triton model share one configuration and are loaded in
one step, where a broken one fails the rest; models of their own load, warm up and leave alone.
"""

import filecmp
import logging
import os
import py_compile
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from contracts.releases import InputShape, Pin
from serving.casebook import casebook_files
from serving.triton import session_model
from serving.triton.configs import (
    Backend,
    ServingOptions,
    accelerate,
    casebook_warmups,
    check_pair,
    ensemble_config,
    model_config,
    read_signature,
    student_warmups,
)

log = logging.getLogger(__name__)

_OURS = re.compile(r"student_r\d+|(casebook|precedent)_r\d+_c\d+")


def ensemble_name(pin: Pin) -> str:
    """The model that answers for a pin."""
    return f"precedent_r{pin.release_version}_c{pin.casebook_version}"


def student_name(pin: Pin) -> str:
    return f"student_r{pin.release_version}"


def casebook_name(pin: Pin) -> str:
    return f"casebook_r{pin.release_version}_c{pin.casebook_version}"


def model_names(pin: Pin) -> tuple[str, str, str]:
    """The models of a pin in the order of loading; the ensemble last."""
    return student_name(pin), casebook_name(pin), ensemble_name(pin)


class ModelRepository:
    """The folder that a Triton serves from; models appear in it whole, by one rename."""

    def __init__(self, path: Path, options: ServingOptions | None = None) -> None:
        self.path = path
        self.options = options or ServingOptions()

    def publish(self, pin: Pin, student: Path, casebook: Path, shape: InputShape) -> str:
        """Write what is not there yet of a pin's models, and return the ensemble's name.

        Raises `BadInputError` when a file is not an ONNX model that can be served.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        release, cases = pin.release_version, pin.casebook_version
        student_tensors, casebook_tensors = read_signature(student), read_signature(casebook)
        check_pair(student_tensors, casebook_tensors)
        self._remove_if_other(student_name(pin), release, [student])
        self._remove_if_other(casebook_name(pin), cases, list(casebook_files(casebook)))
        if not self.has(student_name(pin)):
            warmups = student_warmups(self.options, shape)
            config = model_config(student_name(pin), student_tensors, self.options, warmups=warmups)
            accelerate(config, self.options)
            self._write(config, release, {"model.onnx": student})
        if not self.has(casebook_name(pin)):
            warmups = casebook_warmups(self.options, student_tensors)
            config = model_config(casebook_name(pin), casebook_tensors, self.options, warmups=warmups)
            model, *data = casebook_files(casebook)
            self._write(config, cases, {"model.onnx": model, **{file.name: file for file in data}})
        if not self.has(ensemble_name(pin)):
            steps = (student_name(pin), release, student_tensors), (casebook_name(pin), cases, casebook_tensors)
            self._write(ensemble_config(ensemble_name(pin), *steps, self.options), 1, {})
        return ensemble_name(pin)

    def has(self, name: str) -> bool:
        return (self.path / name / "config.pbtxt").is_file()

    def _remove_if_other(self, name: str, version: int, files: list[Path]) -> None:
        """Remove a model whose file is not, byte for byte, the one that was verified and is to be served."""
        folder = self.path / name / str(version)
        if not self.has(name):
            return
        for source, target in zip(files, ("model.onnx", *(file.name for file in files[1:])), strict=True):
            place = folder / target
            if not place.exists() or not (source.samefile(place) or filecmp.cmp(source, place, shallow=False)):
                log.error("%s is not what was published of %s, and is written anew", place, source)
                self.remove(name)
                return

    def models(self) -> set[str]:
        """The names of the models in the repository that stand for pins."""
        names = (config.parent.name for config in self.path.glob("*/config.pbtxt"))
        return {name for name in names if _OURS.fullmatch(name)}

    def prune(self, keep: Iterable[Pin]) -> set[str]:
        """Remove the models of every pin but these; returns their names. Unload them first."""
        kept = {name for pin in keep for name in model_names(pin)}
        gone = self.models() - kept
        for name in gone:
            self.remove(name)
        return gone

    def remove(self, name: str) -> None:
        """Remove one model: out of sight by one rename, then from the disk."""
        staged = self._staged(name)
        (self.path / name).rename(staged)
        shutil.rmtree(staged)

    def _write(self, config: Any, version: int, files: dict[str, Path]) -> None:
        from google.protobuf import text_format

        staged = self._staged(config.name)
        folder = staged / str(version)
        folder.mkdir(parents=True)
        for name, source in files.items():
            _link_or_copy(source, folder / name)
        if files and config.backend == Backend.PYTHON:
            _write_code(folder / "model.py")
        (staged / "config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")
        try:
            staged.rename(self.path / config.name)
        except OSError:
            shutil.rmtree(staged)
            if not self.has(config.name):
                raise

    def _staged(self, name: str) -> Path:
        """A place beside the repository, on the same file system, where Triton does not look."""
        staging = self.path.with_name(f"{self.path.name}.staging")
        staging.mkdir(parents=True, exist_ok=True)
        staged = staging / f"{name}.{os.getpid()}"
        shutil.rmtree(staged, ignore_errors=True)
        return staged


def _write_code(path: Path) -> None:
    """Write the model's code, compiled: a cache that Python wrote later would look like a changed version."""
    shutil.copyfile(session_model.__file__, path)
    py_compile.compile(str(path), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


def _link_or_copy(source: Path, target: Path) -> None:
    """Link, since a released file never changes; copy where the file system differs."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
