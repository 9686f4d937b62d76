"""The CritiqueLLM protocols."""

from __future__ import annotations

from pathlib import Path

import pytest

from judgekit.errors import ConfigError
from judgekit.judges import find_judge
from judgekit.prompts.base import PairProtocol, PointProtocol, Reading, ScoreReading, pair_protocol
from judgekit.prompts.chat import encode_prompt
from judgekit.prompts.critiquellm import (
    TASK_TYPES,
    CritiquePair,
    CritiquePairPrompt,
    CritiquePoint,
    CritiquePointPrompt,
    answer_type,
)
from judgekit.rows import Response, ResponsePair, ScoredResponse
from judgekit.schema.composition import Composer
from judgekit.schema.evaluation import EvalConfig
from tests.prompts.test_chat import make_llama_tokenizer

PAIR = ResponsePair("p", "为什么{first}？", "甲{second}", "乙", "A", reference="丙", subset="数学计算")
ROW = Response("r", "为什么{response}？", "甲", reference="丙", subset="文本写作")
ZH_PAIR = CritiquePair(CritiquePairPrompt(style="zh", plain=True))
ZH_POINT = CritiquePoint(CritiquePointPrompt(style="zh", plain=True))
EN_PAIR, EN_POINT = CritiquePair(CritiquePairPrompt()), CritiquePoint(CritiquePointPrompt())
BRIEF_PAIR = CritiquePair(CritiquePairPrompt(style="brief", reference=False))
BRIEF_POINT = CritiquePoint(CritiquePointPrompt(style="brief"))


def test_released_weights_are_shown_plain_text_in_their_slots() -> None:
    assert ZH_POINT.score_prompt(ROW) == (
        {
            "role": "text",
            "content": "[生成型回答]\n用户的提问：为什么{response}？\n[参考答案开始]\n丙\n[参考答案结束]\n"
            "[助手的答案开始]\n甲\n[助手的答案结束]",
        },
    )
    without = CritiquePair(CritiquePairPrompt(style="zh", plain=True, reference=False))
    assert without.judge_prompt(PAIR, "ba")[0]["content"] == (
        "[逻辑推理型回答]\n用户的提问：为什么{first}？\n[助手1的答案开始]\n乙\n[助手1的答案结束]\n"
        "[助手2的答案开始]\n甲{second}\n[助手2的答案结束]"
    )
    assert (
        "[参考答案开始]\n丙\n[参考答案结束]\n[助手1的答案开始]\n甲{second}\n"
        in ZH_PAIR.judge_prompt(PAIR, "ab")[0]["content"]
    )


def test_plain_text_follows_what_the_tokenizer_puts_before_a_text() -> None:
    """As the release encodes it: the tokenizer's own prefix, the text, no chat markers and nothing after it."""
    tokenizer = make_llama_tokenizer()
    row = Response("r", "Why</s>?", "So.", subset="code")
    prompt = CritiquePoint(CritiquePointPrompt(plain=True)).score_prompt(row)
    ids = encode_prompt(tokenizer, prompt)
    text = "[Reasoning]\nUser's question: Why</s>?\n[Start of assistant's answer]\nSo.\n[End of assistant's answer]"
    assert prompt[0]["content"] == text
    assert ids == tokenizer.encode(text, split_special_tokens=True) and ids[0] == 1 and ids.count(2) == 0


def test_the_brief_style_has_no_type_and_no_reference_where_none_is_wanted() -> None:
    pair = ResponsePair("p", "Q?", "one", "two", "A", reference="three")
    assert BRIEF_PAIR.judge_prompt(pair, "ba")[0] == {
        "role": "user",
        "content": "User's question: Q?\n[Start of Assistant 1's answer]\ntwo\n[End of Assistant 1's answer]\n"
        "[Start of Assistant 2's answer]\none\n[End of Assistant 2's answer]",
    }


def test_answer_types_follow_task_types() -> None:
    assert answer_type("own/Role Play", "advice") == "writing" and answer_type("综合问答", "factual") == "advice"
    assert answer_type("anything", "advice") == answer_type(None, "advice") == "advice"
    assert {len(names) for names in TASK_TYPES.values()} == {10}


@pytest.mark.parametrize(
    ("text", "truncated", "expected"),
    [
        ("事实正确性：8。……\n{'事实正确性': 8, '综合得分': 7}", False, 7.0),
        ('{"综合得分"：6}', False, 6.0),
        ("综合得分：9。很好", False, 9.0),
        ("综合得分：9分（满分10分）", False, 9.0),
        ("{'综合得分': 1 + 1 + 4 = 6}", False, 6.0),
        ("{'综合得分': 3 + 3}", False, "not a number"),
        ("{'综合得分': 7½}", False, 7.5),
        ("{'综合得分': '7/10'}", False, 7.0),
        ("{'综合得分': 7/20}", False, "out of range"),
        ("{'综合得分': 7-8}", False, "ambiguous"),
        ("{'综合得分': 7}\n更正：6", False, "ambiguous"),
        ("综合得分: 3\n{'综合得分': 4}", False, 4.0),
        ("{'综合得分': 7.5}", False, 7.5),
        ("{'综合得分': 0}", False, "out of range"),
        ("{'综合得分': 12}", False, "out of range"),
        ("{'综合得分': 4} {'综合得分': 5}", False, "ambiguous"),
        ("总分：7", False, "missing"),
        ("{'综合得分': 八}", False, "missing"),
        ("很好，综合得分: 7，因为", True, "truncated"),
        ("{'综合得分': 7}", True, 7.0),
        ("", True, "truncated"),
    ],
)
def test_overall_scores_are_read(text: str, truncated: bool, expected: float | str) -> None:
    wanted = ScoreReading(None, expected) if isinstance(expected, str) else ScoreReading(expected, None)
    assert ZH_POINT.read_score(text, truncated) == wanted


@pytest.mark.parametrize(
    ("text", "truncated", "expected"),
    [
        ("……\n{'综合比较结果': '助手1'}", False, "A"),
        ('{"综合比较结果"："助手2"}', False, "B"),
        ("{'综合比较结果': '质量相当'}", True, "tie"),
        ("{'综合比较结果': '助手3'}", False, "out of range"),
        ("{'综合比较结果': '助手1'}{'综合比较结果': '助手2'}", False, "ambiguous"),
        ("助手1更好", False, "missing"),
        ("{'综合比较结果': '助手1', 因", True, "truncated"),
    ],
)
def test_comparisons_are_read(text: str, truncated: bool, expected: str) -> None:
    valid = expected in ("A", "B", "tie")
    assert ZH_PAIR.read(text, truncated) == (Reading(expected, None) if valid else Reading(None, expected))  # type: ignore[arg-type]


def test_endings_are_read_as_what_they_say() -> None:
    for protocol in (ZH_PAIR, EN_PAIR, BRIEF_PAIR):
        assert [protocol.read(text, False).verdict for text in protocol.verdict_tokens] == ["A", "B", "tie"]
    assert [BRIEF_POINT.read_score(text, False).score for text in BRIEF_POINT.verdict_tokens] == list(range(1, 11))
    assert EN_POINT.verdict_tokens == (), "scores by dimension have no short list of endings"
    text = EN_POINT.ending(7, {"Clarity": 6})
    assert text == "{'Clarity': 6, 'Overall score': 7}" and EN_POINT.read_score(text, False).score == 7


def test_a_benchmark_tells_the_task_type_but_not_the_human_score() -> None:
    row = ScoredResponse("r", "Q?", "A.", 4.0, 1.0, 5.0, "Q?", system="m", reference="R.", subset="逻辑推理")
    text = ZH_POINT.score_prompt(row.shown)[0]["content"]
    assert text.startswith("[逻辑推理型回答]\n用户的提问：Q?\n[参考答案开始]\nR.\n")
    assert "4" not in text


@pytest.mark.parametrize(("prompt", "asked"), [(None, ZH_PAIR), ("critiquellm_point_plain", ZH_POINT)])
def test_the_released_judge_brings_its_format(prompt: str | None, asked: object, tmp_path: Path) -> None:
    overrides = ["judge=critiquellm_6b", "benchmark=alignbench", f"benchmark.alignbench.path={tmp_path}"]
    config = Composer(name="eval", kind=EvalConfig).job([*overrides, *([f"prompt={prompt}"] if prompt else [])]).config
    assert isinstance(config, EvalConfig)
    found = find_judge(config.judge, config.sampler)
    brought = config.prompt or found.prompt
    assert brought is not None and brought.protocol == asked
    assert found.model is not None and found.model.trust_remote_code and config.judge.tokens == 1024


def test_one_protocol_compares_and_one_scores() -> None:
    assert CritiquePairPrompt().protocol == EN_PAIR and isinstance(EN_PAIR, PairProtocol)
    assert CritiquePointPrompt().protocol == EN_POINT and isinstance(EN_POINT, PointProtocol)
    assert not isinstance(EN_PAIR, PointProtocol) and not isinstance(EN_POINT, PairProtocol)
    assert EN_POINT.scale == (1, 10)
    with pytest.raises(ConfigError):
        pair_protocol(CritiquePointPrompt())
