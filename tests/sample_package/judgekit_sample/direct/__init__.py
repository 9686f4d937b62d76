"""A recipe: SFT on what the labels say, a verdict and nothing else."""

from judgekit_sample.direct.config import DirectConfig

__all__ = ["DirectConfig"]
