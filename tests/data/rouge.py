"""``rouge-score`` for comparison, without what importing it does to the log."""

import sys

import absl.logging
from rouge_score.rouge_scorer import RougeScorer as RougeScorer

# Its handler closes its stream, pytest's stand-in for stderr, whenever logging is configured anew.
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__
