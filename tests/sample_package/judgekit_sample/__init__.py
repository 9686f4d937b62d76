"""Importing this registers everything; the folder ``conf`` beside it holds the config groups."""

from judgekit_sample import canned, direct, hinge, length_gap, riddles, terse

__all__ = ["canned", "direct", "hinge", "length_gap", "riddles", "terse"]
