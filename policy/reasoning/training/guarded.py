"""What every trainer here adds to TRL's: a loss that is no number ends the run, and a resumed run has its weights."""

import math
from typing import Any

from policy.reasoning.training.folder import RunFolder


class Resumed:
    """Mixed into a trainer, before it."""

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Take the weights of a step up again, read as any checkpoint is.

        Transformers 5.17 saves some VLMs under other names than it resumes by: those weights would be missed, and the
        run go on from where it began.
        """
        from peft import PeftModel

        model = self.model if model is None else model  # type: ignore[attr-defined]
        if isinstance(model, PeftModel) or self.is_fsdp_enabled:  # type: ignore[attr-defined]
            super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
            return
        saved = type(model).from_pretrained(resume_from_checkpoint, local_files_only=True, use_safetensors=True)
        model.load_state_dict(saved.state_dict())


class Guarded(Resumed):
    """Mixed into a trainer, before it; `folder` must be set before training begins."""

    folder: RunFolder

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """One step; raises `CheckFailedError` with step, batch and last good checkpoint where the loss is no number."""
        texts = self._texts(inputs)
        loss = super().training_step(model, inputs, *args, **kwargs)  # type: ignore[misc]
        if not math.isfinite(value := float(loss)):
            raise self.folder.broke("loss", value, self.state.global_step, texts)  # type: ignore[attr-defined]
        return loss

    def _texts(self, inputs: Any) -> list[str]:
        """The texts of a batch, where it is already in tokens."""
        ids = inputs.get("input_ids") if isinstance(inputs, dict) or hasattr(inputs, "get") else None
        processor: Any = self.processing_class  # type: ignore[attr-defined]
        tokenizer = getattr(processor, "tokenizer", processor)
        return [] if ids is None else [str(text) for text in tokenizer.batch_decode(ids)]
