"""What every trainer here adds to TRL's: a loss that is not finite ends the run, each step is a line of its curve."""

import json
import math
from typing import Any

from policy.reasoning.training.folder import CURVE, RunFolder


class Guarded:
    """Mixed into a trainer, before it; `folder` must be set before training begins."""

    folder: RunFolder

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """One step; raises `CheckFailedError` with step, batch and last good checkpoint where the loss is no number."""
        texts = self._texts(inputs)
        loss = super().training_step(model, inputs, *args, **kwargs)  # type: ignore[misc]
        if not math.isfinite(value := float(loss)):
            raise self.folder.broke("loss", value, self.state.global_step, texts)  # type: ignore[attr-defined]
        return loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log as usual, and append the same figures to the curve."""
        step = self.state.global_step  # type: ignore[attr-defined]
        figures = {name: value for name, value in logs.items() if isinstance(value, int | float)}
        with (self.folder.path / CURVE).open("a", encoding="utf-8") as curve:
            curve.write(json.dumps({"step": step, **figures}) + "\n")
        super().log(logs, *args, **kwargs)  # type: ignore[misc]

    def _texts(self, inputs: Any) -> list[str]:
        """The texts of a batch, where it is already in tokens."""
        ids = inputs.get("input_ids") if isinstance(inputs, dict) or hasattr(inputs, "get") else None
        processor: Any = self.processing_class  # type: ignore[attr-defined]
        tokenizer = getattr(processor, "tokenizer", processor)
        return [] if ids is None else [str(text) for text in tokenizer.batch_decode(ids)]
