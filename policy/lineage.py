"""A trained policy in, an immutable release folder with its lineage out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from contracts.cases import DecidedCase
from contracts.releases import Release
from policy.casebook import leaves_of, write_leaves, write_precedents
from policy.evidence import digest_of_cases, write_taught
from policy.fusion import write_weights
from policy.releases import new_folder, write_manifest
from policy.train import Policy, TrainSettings
from serving.casebook import write_casebook
from serving.releases import CASEBOOK, LEAVES, PRECEDENTS, STUDENT, TAUGHT, WEIGHTS


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a release comes from: its version, its parent's, and the cases it was trained on."""

    version: int
    parent: int | None
    cases: tuple[DecidedCase, ...]

    @classmethod
    def of(cls, cases: Sequence[DecidedCase], parent: Release | None = None) -> "Lineage":
        """The release after `parent`, or the first."""
        before = None if parent is None else parent.version
        return cls(1 if before is None else before + 1, before, tuple(cases))


def write_release(
    policy: Policy,
    path: Path,
    lineage: Lineage,
    *,
    settings: TrainSettings,
    now: datetime,
    beside: Mapping[str, str] | None = None,
) -> Release:
    """Write an immutable release folder at `path` (it must not exist) and return its manifest.

    `beside` are texts by file name that lie in the folder too, with a digest as every file has.
    """
    from serving.export import export_student

    with new_folder(path) as draft:
        export_student(policy.student, draft / STUDENT)
        write_casebook(policy.casebook, draft / CASEBOOK)
        write_precedents(policy.precedents, draft / PRECEDENTS)
        write_leaves(leaves_of(one.case for one in policy.precedents), draft / LEAVES)
        write_taught(lineage.cases, draft / TAUGHT)
        if policy.student.shape.fused:
            write_weights(policy.student, draft / WEIGHTS)
        for name, text in (beside or {}).items():
            (draft / name).write_text(text, encoding="utf-8")
        return write_manifest(
            draft,
            lambda digests: Release(
                version=lineage.version,
                parent=lineage.parent,
                created_at=now,
                inputs=settings.inputs,
                thresholds=policy.thresholds,
                casebook_version=lineage.version,
                n_cases=len(lineage.cases),
                digests=digests,
                metrics=policy.metrics,
                trained_on=digest_of_cases(lineage.cases),
            ),
        )
