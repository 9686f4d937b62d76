"""Self-Rewarding Language Models (arXiv 2401.10020): a model that answers prompts, scores its answers, and learns."""

from judgekit.recipes.self_rewarding.config import SelfRewardingConfig

__all__ = ["SelfRewardingConfig"]
