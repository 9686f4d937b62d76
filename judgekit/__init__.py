"""judgekit: train, evaluate and study LLM judges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judgekit.api import Evaluation, Judge, Measure, evaluate
    from judgekit.data.logs import read_verdicts
    from judgekit.data.sources import read_pairs
    from judgekit.evaluation.verdict_metrics import VerdictMetrics, score
    from judgekit.rows import Response, ResponsePair, ScoredResponse
    from judgekit.score_rows import ScoreRow
    from judgekit.verdict_rows import VerdictRow

__version__ = "0.1.0"

__all__ = [
    "Evaluation", "Judge", "Measure", "Response", "ResponsePair", "ScoreRow", "ScoredResponse", "VerdictMetrics",
    "VerdictRow", "__version__", "evaluate", "read_pairs", "read_verdicts", "score",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """What is in ``judgekit.api``, imported when it is first used: the command line must start at once."""
    if name not in __all__:
        raise AttributeError(f"module 'judgekit' has no attribute {name!r}")
    from judgekit import api

    return getattr(api, name)
