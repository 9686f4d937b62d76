"""Prompts that make response pairs: a plain answer, and a modified instruction with an answer to it.

The modified instruction is that of Self-Taught Evaluators (arXiv 2408.02666): highly relevant to the original, but
not the same question, so that a good answer to it is a bad answer to the original. Tags are theirs, wording is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from judgekit.rows import Message

MODIFIED = "[User Question Modified]"
ANSWER_START = "[The start of Assistant's answer to the modified instruction]"
ANSWER_END = "[The end of Assistant's answer to the modified instruction]"


@dataclass(frozen=True, slots=True)
class Modified:
    """A modified instruction and an answer to it."""

    instruction: str
    answer: str


def answer_prompt(instruction: str) -> tuple[Message, ...]:
    """The instruction itself, as a user asks it."""
    return ({"role": "user", "content": instruction},)


def modify_prompt(instruction: str, answer: str) -> tuple[Message, ...]:
    """Ask for a modified instruction and a good answer to it.

    :param answer: an ordinary answer to the original instruction, so that the new one can differ from it
    """
    task = (
        "Below are a user's question and an assistant's answer. Write another question that is closely related to the "
        "user's, yet asks for something different, so that whoever answers yours well does not answer the user's. Then "
        f"answer your own question as well as you can. Write {MODIFIED} and your question; then {ANSWER_START}, your "
        f"answer, and {ANSWER_END}."
    )
    text = (
        task
        + "\n\n[User Question]\n"
        + instruction
        + "\n[The start of Assistant's Answer]\n"
        + answer
        + "\n[The end of Assistant's Answer]"
    )
    return ({"role": "user", "content": text},)


def read_modified(text: str) -> Modified | None:
    """The modified instruction and its answer; None when a part is missing."""
    head, found, rest = text.partition(ANSWER_START)
    answer, closed, _ = rest.partition(ANSWER_END)
    instruction = head.rpartition(MODIFIED)[2].strip()
    if not (found and closed and MODIFIED in head and instruction and answer.strip()):
        return None
    return Modified(instruction, answer.strip())
