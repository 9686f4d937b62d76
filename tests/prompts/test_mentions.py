"""Assistants that are exchanged in a text."""

from __future__ import annotations

import pytest

from judgekit.prompts.critiquellm import CritiquePair, CritiquePairPrompt
from judgekit.prompts.mentions import swap_mentions


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("Assistant 1 is right, assistant 2 not, Assistant 12", "Assistant 2 is right, assistant 1 not, Assistant 12"),
        ("Assistant 1 and 2 err.", "Assistant 2 and 1 err."),
        ("Assistants 1/2, Assistants 2, 1", "Assistants 2/1, Assistants 1, 2"),
        ("Assistant 1's and 2's ends", "Assistant 2's and 1's ends"),
        ("For Assistant 1, 2 errors", "For Assistant 2, 2 errors"),
        ("ASSISTANT #2 vs. #1", "ASSISTANT #1 vs. #2"),
        ("the correct answer 2, a response 1", "the correct answer 2, a response 1"),
        ("Answer 2 over Response 1, Answers 1 and 2", "Answer 1 over Response 2, Answers 2 and 1"),
        ("a good Answer\n2. Assistant 2 errs", "a good Answer\n2. Assistant 1 errs"),
        ("by the assistant\n1. Clear", "by the assistant\n1. Clear"),
        ("assistant 1.5, assistant's 2 points", "assistant 1.5, assistant's 2 points"),
        ("助手 1更好，助手2不如助手1。", "助手 2更好，助手1不如助手2。"),
        ("助手1和2都对，助手2、1，助手1与2", "助手2和1都对，助手1、2，助手2与1"),
        ("助手1和2分别", "助手2和1分别"),
        ("助手1和2个例子，助手12", "助手2和2个例子，助手12"),
        ("两个助手一样好", "两个助手一样好"),
    ],
)  # fmt: skip
def test_assistants_change_names(text: str, swapped: str) -> None:
    assert swap_mentions(text) == swapped
    assert swap_mentions(swapped) == text


@pytest.mark.parametrize(
    ("style", "text", "swapped"),
    [
        ("en", "assistant 1 is better.\n{'Overall comparison': 'Assistant 1'}",
         "assistant 2 is better.\n{'Overall comparison': 'Assistant 2'}"),
        ("zh", "助手 1更好。\n{'综合比较结果': '助手1'}", "助手 2更好。\n{'综合比较结果': '助手2'}"),
        ("en", "So.\n{'Overall comparison': 'Tie'}", "So.\n{'Overall comparison': 'Tie'}"),
    ],
)  # fmt: skip
def test_a_critique_never_contradicts_its_end(style: str, text: str, swapped: str) -> None:
    protocol = CritiquePair(CritiquePairPrompt(style=style))  # type: ignore[arg-type]
    assert swap_mentions(text) == swapped
    verdicts = [protocol.read(one, False).verdict for one in (text, swapped)]
    assert verdicts in (["A", "B"], ["tie", "tie"])
