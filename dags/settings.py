"""The environment in, one frozen record out: where the tasks find the other parts."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.secrets import secret_in
from features.config import FeaturesConfig
from warehouse.address import WarehouseAddress, address_in

if TYPE_CHECKING:
    from policy.reasoning.endpoint import Endpoint

_STATE = Path(".state")


@dataclass(frozen=True, slots=True)
class DagSettings:
    """Addresses and folders, by the variables that the commands read; folders are relative to where Airflow began.

    releases: the root with the pointer.   docket: the register of cases.   runs: a folder a refresh.
    golden: decided cases that teach nothing, which every candidate must pass.   traffic: uploads beside which it is
    compared, None for none.   old: the data snapshot of a first release that names none.
    vlm: the root of the deployed VLM, None for none.   vlm_recipe: TOML of how it is refined.
    experiments: the file that declares them.   reports: a folder a day.   taxonomy: accepted leaves and proposals.
    """

    environment: Mapping[str, str] = field(repr=False)
    releases: Path = _STATE / "releases"
    docket: Path = _STATE / "docket"
    runs: Path = _STATE / "refresh"
    golden: Path = _STATE / "golden.jsonl"
    traffic: Path | None = None
    old: Path | None = None
    vlm: Path | None = None
    vlm_recipe: Path | None = None
    experiments: Path = Path("deploy/experiments.toml")
    reports: Path = _STATE / "reports"
    taxonomy: Path = _STATE / "taxonomy"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "DagSettings":
        """Read `PRECEDENT_RELEASES` and so on, a variable a folder or file; addresses when they are asked for."""
        names = (
            "releases",
            "docket",
            "runs",
            "golden",
            "traffic",
            "old",
            "vlm",
            "vlm_recipe",
            "experiments",
            "reports",
            "taxonomy",
        )
        given = {name: Path(value) for name in names if (value := environment.get(f"PRECEDENT_{name.upper()}"))}
        return cls(environment, **given)

    @property
    def warehouse(self) -> WarehouseAddress:
        return address_in(self.environment)

    @property
    def media_roots(self) -> tuple[Path, ...]:
        """Folders that media may lie in: PRECEDENT_MEDIA_ROOTS, separated by `:`."""
        return tuple(Path(part) for part in self.environment.get("PRECEDENT_MEDIA_ROOTS", "").split(":") if part)

    @property
    def llm(self) -> "Endpoint | None":
        """What names proposed leaves: PRECEDENT_LLM and PRECEDENT_LLM_MODEL, with the key in PRECEDENT_LLM_KEY."""
        from policy.reasoning.endpoint import Endpoint

        if not (url := self.environment.get("PRECEDENT_LLM")):
            return None
        model = self.environment.get("PRECEDENT_LLM_MODEL", "default")
        return Endpoint(url, model, secret_in(self.environment, "PRECEDENT_LLM_KEY"))

    @property
    def features(self) -> FeaturesConfig:
        return FeaturesConfig.from_environment(self.environment)
