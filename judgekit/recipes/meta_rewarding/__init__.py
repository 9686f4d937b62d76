"""Meta-Rewarding Language Models (arXiv 2407.19594): an actor, its judge and its judge's judge in one model."""

from judgekit.recipes.meta_rewarding.config import MetaRewardingConfig

__all__ = ["MetaRewardingConfig"]
