"""A tiny VLM that answers in the form, as often wrong as right, and rows for it with and without pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from contracts.reasoning import enveloped
from policy.reasoning.models.tiny import TinySizes, build_tiny

STATES = "<content>a</content><analysis>b</analysis><check>undecided</check><feedback>c</feedback><summary>{}</summary>"
QUESTIONS = {"preference": "Which of the two is better?", "ruling": "Which category is it?"}
ANSWERS = {
    "preference": [enveloped("the first is better, 1", "1"), enveloped("the second is better, 2", "2")],
    "ruling": [enveloped(STATES.format(f"so it is {tag}"), tag) for tag in ("hype_selling", "positive")],
}
SIZES = TinySizes(vocabulary=400, hidden=32, layers=1, heads=2, vision_hidden=32, vision_depth=1, side=16)


def rows_of(many: int) -> list[dict[str, Any]]:
    """Preferences, every second one with a picture, and rulings, every second one with two."""
    rows = []
    for row in range(many):
        task = ("preference", "ruling")[row // 2 % 2]
        pictures = [picture(20 * row + k) for k in range(row % 2 * (1 + row // 2 % 2))]
        parts = [{"type": "image", "text": None} for _ in pictures] + [{"type": "text", "text": QUESTIONS[task]}]
        solution = {"preference": "2" if pictures else "1", "ruling": "hype_selling"}[task]
        rows.append(
            {
                "prompt": [{"role": "user", "content": parts}],
                "images": pictures or None,
                "solution": solution,
                "task": task,
            }
        )
    return rows


def picture(shade: int) -> Image.Image:
    return Image.fromarray(np.full((16, 16, 3), shade % 256, np.uint8))


def teach(folder: Path, *, steps: int = 80) -> None:
    """Write a checkpoint that was shown both answers to every question equally often."""
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

    start = folder.with_name(f"{folder.name}-start")
    build_tiny(start, [*ANSWERS["preference"], *ANSWERS["ruling"], *QUESTIONS.values()] * 10, sizes=SIZES)
    processor = AutoProcessor.from_pretrained(start)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(start)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    shown = [(row, answer) for row in rows_of(4) for answer in ANSWERS[row["task"]]]
    prompts = [processor.apply_chat_template(row["prompt"], add_generation_prompt=True) for row, _ in shown]
    ends = [f"{answer}<|im_end|>" for _, answer in shown]
    batch = processor(
        text=[prompt + end for prompt, end in zip(prompts, ends, strict=True)],
        images=[row["images"] or [] for row, _ in shown],
        padding=True,
        return_tensors="pt",
    )
    labels = torch.full_like(batch["input_ids"], -100)
    for row, end in enumerate(ends):
        kept = len(processor.tokenizer(end)["input_ids"])
        labels[row, -kept:] = batch["input_ids"][row, -kept:]
    for _ in range(steps):
        loss = model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
