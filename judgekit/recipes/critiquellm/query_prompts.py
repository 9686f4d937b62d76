"""Asking a teacher for new queries of a task type, and how difficult a query is (CritiqueLLM, query augmentation)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from judgekit.prompts.base import fill
from judgekit.prompts.scores import one_score, stated
from judgekit.rows import Message

DIFFICULTIES = (1, 2, 3)
"""Easy, medium, hard."""


@dataclass(frozen=True, slots=True)
class _Wording:
    write: str
    rate: str
    difficulty: str


_EN = _Wording(
    write=(
        "Below are some things users asked an AI assistant, all of the task type “{category}”. Write {count} new ones "
        "of the same task type, each complete in itself, about different subjects, easy and hard ones. They must be "
        "unlike the examples and each other. Write a numbered list of them and nothing else.\n\n[Examples]\n{examples}"
    ),
    rate=(
        "Below is something a user asked an AI assistant. Do not answer it; say how difficult it is to answer well: 1 "
        "(easy), 2 (medium) or 3 (hard). Reply with one line and nothing else: Difficulty: <number>\n\n"
        "[User Question]\n{query}\n[The End of User Question]"
    ),
    difficulty="difficulty",
)
_ZH = _Wording(
    write=(
        "下面是用户向AI助手提出的一些“{category}”类任务。请再写{count}个同类的新任务：各自完整，题材不同，难易都有，"
        "既不能与示例相似，彼此也不能相似。只输出一个带编号的列表。\n\n[示例]\n{examples}"
    ),
    rate=(
        "下面是用户向AI助手提出的一个问题。不要回答它，只判断答好它的难度：1（容易）、2（中等）或3（困难）。"
        "只输出一行：难度：<数字>\n\n[用户问题]\n{query}\n[用户问题结束]"
    ),
    difficulty="难度",
)
_WORDINGS: Mapping[str, _Wording] = {"zh": _ZH, "en": _EN, "brief": _EN}

_ITEM = re.compile(r"^[ \t]*(\d+)[ \t]*[.)、．）][ \t]*", re.MULTILINE)


def write_prompt(style: str, category: str, examples: Sequence[str], count: int) -> tuple[Message, ...]:
    """Ask for new queries.

    :param category: task type, as the examples'
    """
    listed = "\n".join(f"{number}. {text}" for number, text in enumerate(examples, start=1))
    text = fill(_WORDINGS[style].write, category=category, count=str(count), examples=listed)
    return ({"role": "user", "content": text},)


def read_queries(text: str, truncated: bool) -> list[str]:
    """The items of a numbered list, in order; the last one of a reply cut at its limit is not whole."""
    starts = list(_ITEM.finditer(text))
    ends = [start.start() for start in starts[1:]] + [len(text)]
    items = [" ".join(text[start.end() : end].split()) for start, end in zip(starts, ends, strict=False)]
    return [item for item in (items[:-1] if truncated else items) if item]


def difficulty_prompt(style: str, query: str) -> tuple[Message, ...]:
    """Ask how difficult a query is."""
    return ({"role": "user", "content": fill(_WORDINGS[style].rate, query=query)},)


def read_difficulty(style: str, text: str) -> tuple[int | None, str | None]:
    """The difficulty a reply names, or why it names none."""
    name = _WORDINGS[style].difficulty
    lines = re.findall(rf"{name}\W*?(?=\d)([^\n]*)", text, re.IGNORECASE) or [text.strip()]
    low, *_, high = DIFFICULTIES
    found = one_score((stated(line, high) for line in lines), low, high)
    if found.score is None or found.score in DIFFICULTIES:
        return (None if found.score is None else int(found.score)), found.invalid
    return None, "out of range"
