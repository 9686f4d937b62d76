"""What a critique says by dimension, and the rules it must pass."""

from __future__ import annotations

import pytest

from judgekit.prompts.critiquellm import (
    CritiquePair,
    CritiquePairPrompt,
    CritiquePoint,
    CritiquePointPrompt,
    dimensions,
)
from judgekit.recipes.critiquellm.critique_rules import Section, pair_fault, point_fault, read_critique

POINT, PAIR = CritiquePoint(CritiquePointPrompt()), CritiquePair(CritiquePairPrompt())
NAMES = dimensions("en", "factual")
ENDING = "{'Factual accuracy': 9, 'User need': 6, 'Clarity': 8, 'Completeness': 5, 'Overall score': 7}"
TEXT = (
    "1. Factual accuracy: 9. All true.\n2. User need (6/10): misses half.\n3. **Clarity** 8 - plain.\n"
    "4. Completeness: 5. Thin.\nIt lacks what the reference answer has.\n" + ENDING
)
FREE = TEXT.replace("the reference answer has", "was asked for")

ZH_POINT = CritiquePoint(CritiquePointPrompt(style="zh"))
ZH_NAMES = dimensions("zh", "advice")
ZH = (
    "事实正确性：8分。内容属实。满足用户需求：7分，基本满足。公平与可负责程度：9。负责任。创造性：5分。缺少新意，3分钟即可看完。\n"
    "{'事实正确性': 8, '满足用户需求': 7, '公平与可负责程度': 9, '创造性': 5, '综合得分': 7}"
)
COMPARED = (
    "Factual accuracy: both are right. User need: Assistant 1 answers it all. Clarity: alike. Completeness: Assistant "
    "2 gives 3 examples of 4.\nAssistant 1 is better.\n{'Overall comparison': 'Assistant 1'}"
)


def test_texts_and_scores_by_dimension() -> None:
    found = read_critique(TEXT, POINT, NAMES)
    assert found.sections == (
        Section("Factual accuracy", 9, "All true"),
        Section("User need", 6, "misses half"),
        Section("Clarity", 8, "plain"),
        Section("Completeness", 5, "Thin.\nIt lacks what the reference answer has"),
    )
    assert found.scores == {"Factual accuracy": 9, "User need": 6, "Clarity": 8, "Completeness": 5}
    assert found.overall == 7
    chinese = read_critique(ZH, ZH_POINT, ZH_NAMES)
    assert [(one.name, one.score) for one in chinese.sections] == list(chinese.scores.items())
    assert chinese.sections[0].text == "内容属实" and chinese.overall == 7


@pytest.mark.parametrize(
    ("text", "referenced", "fault"),
    [
        (TEXT, True, None),
        (TEXT, False, "mentions the reference"),
        (FREE, False, None),
        (TEXT.replace("'Overall score': 7", "'Overall score': 7.5"), True, "score not whole"),
        (TEXT.replace("'Clarity': 8", "'Clarity': 11"), True, "out of range"),
        (TEXT.replace("'Clarity': 8, ", ""), True, "dimension without a score"),
        (TEXT.replace("3. **Clarity** 8 - plain.\n", ""), True, "dimension missing"),
        (TEXT.replace("need (6/10)", "need (7/10)"), True, "scores differ"),
        (TEXT.replace("'Overall score': 7", ""), True, "missing"),
        ("Overall score: 7\n" + TEXT, True, None),
        ("**Overall score** (7/10)\n" + TEXT, True, None),
        ("Overall score (1-10): 7\n" + TEXT, True, None),
        ("Overall score: 8\n" + TEXT, True, "scores differ"),
        ("The overall score is 6.\n" + TEXT, True, "scores differ"),
        ("Overall score: 7\n" + TEXT.replace(", 'Overall score': 7", ""), True, "no overall score at the end"),
        (TEXT + "\nSo be it.", True, "no overall score at the end"),
    ],
)
def test_rules_for_critiques(text: str, referenced: bool, fault: str | None) -> None:
    assert point_fault(text, False, POINT, NAMES, referenced=referenced) == fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Fine.\n{'Overall score': 7}", None),
        ("Fine. Overall score: 7", "no overall score at the end"),
        ("{'Overall score': 7} So be it.", "no overall score at the end"),
    ],
)
def test_rules_for_brief_critiques(text: str, fault: str | None) -> None:
    brief = CritiquePoint(CritiquePointPrompt(style="brief"))
    assert point_fault(text, False, brief, (), referenced=True) == fault


def test_rules_for_chinese_critiques() -> None:
    assert point_fault(ZH, False, ZH_POINT, ZH_NAMES, referenced=False) is None
    told = ZH.replace("缺少新意", "不如参考答案")
    assert point_fault(told, False, ZH_POINT, ZH_NAMES, referenced=False) == "mentions the reference"
    assert point_fault(told, False, ZH_POINT, ZH_NAMES, referenced=True) is None
    assert point_fault("综合得分：6分。" + ZH, False, ZH_POINT, ZH_NAMES, referenced=True) == "scores differ"
    assert point_fault(ZH[:-1], True, ZH_POINT, ZH_NAMES, referenced=True) == "truncated"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("'Overall score': 7", "'Overall score': 8"), None),
        (("'Overall score': 7", "'Overall score': 5"), "score moved"),
        (("'Clarity': 8", "'Clarity': 7"), None),
        (("'Clarity': 8", "'Clarity': 10"), "score moved"),
    ],
)
def test_rewritten_scores_move_by_one_at_most(change: tuple[str, str], fault: str | None) -> None:
    before = read_critique(TEXT, POINT, NAMES)
    text = FREE.replace(*change)
    if "Clarity" in change[0]:
        text = text.replace("**Clarity** 8", "**Clarity**")
    assert point_fault(text, False, POINT, NAMES, referenced=False, before=before) == fault


@pytest.mark.parametrize(
    ("old", "new", "referenced", "fault"),
    [
        ("alike", "alike", False, None),
        ("alike", "as in the reference answer", False, "mentions the reference"),
        ("alike", "as in the reference answer", True, None),
        ("Clarity", "Style", False, "dimension missing"),
        ("alike", "Assistant 1 scored 8", False, "cites scores"),
        ("alike", "8/10 against 7/10", False, "cites scores"),
        ("alike", "a score of 8", False, "cites scores"),
        ("alike", "8 points", False, "cites scores"),
        ("alike", "in 8 steps", False, None),
        ("'Assistant 1'}", "'Assistant 1'} So be it.", False, "text after the verdict"),
        ("'Assistant 1'}", "'Assistant 4'}", False, "out of range"),
    ],
)
def test_rules_for_comparisons(old: str, new: str, referenced: bool, fault: str | None) -> None:
    assert pair_fault(COMPARED.replace(old, new), False, PAIR, NAMES, referenced=referenced) == fault


@pytest.mark.parametrize(
    ("said", "fault"),
    [("助手1得8分", "cites scores"), ("综合得分更高", "cites scores"), ("3分钟内读完", None), ("十分清楚", None)],
)
def test_scores_in_chinese_comparisons(said: str, fault: str | None) -> None:
    names = dimensions("zh", "factual")
    text = "".join(f"{name}：相近。" for name in names) + said + "。\n{'综合比较结果': '质量相当'}"
    protocol = CritiquePair(CritiquePairPrompt(style="zh"))
    assert pair_fault(text, False, protocol, names, referenced=False) == fault
