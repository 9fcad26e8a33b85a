"""TRL's fused language-model head on a CPU: only the positions that are learned from are scored, as on a GPU.

Of a question and its answer the answer is a tenth; TRL 1.16 scores every position where there is no Triton, so as not
to recompile for each batch, which nothing does here. What is computed is the same (a test compares loss and gradient).
"""


def score_answers_only() -> None:
    """Let every trainer of this process score the labelled positions alone; safe to repeat.

    Raises `ImportError` where TRL has no such switch any more.
    """
    from trl.trainer import utils

    if not hasattr(utils, "_use_triton"):
        raise ImportError("trl.trainer.utils has no _use_triton: this release of TRL decides otherwise what to score")
    utils._use_triton = lambda _device: True
