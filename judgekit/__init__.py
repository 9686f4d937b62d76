"""judgekit: train, evaluate and study LLM judges."""

__version__ = "0.1.0"
