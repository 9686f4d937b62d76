"""The instructions that come with the package."""

from __future__ import annotations

from importlib import resources

from judgekit.data.sources import read_instructions
from judgekit.rows import Instruction


def load_instructions() -> list[Instruction]:
    """The starter instructions, in file order: each has a category and a near miss.

    A near miss is highly relevant to its instruction and asks something else, so that a good answer to it is a
    wrong answer to the instruction.
    """
    with resources.as_file(resources.files(__name__) / "instructions.jsonl") as path:
        return read_instructions(path, source="starter", needed=("category", "near_miss"))
