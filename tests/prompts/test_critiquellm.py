"""The CritiqueLLM protocols."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from judgekit.errors import ConfigError
from judgekit.evaluation.benchmarks.autoj import GROUP_OF
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
RELEASED_PAIR = CritiquePair(CritiquePairPrompt(style="zh", plain=True, parser="release"))
RELEASED_POINT = CritiquePoint(CritiquePointPrompt(style="zh", plain=True, parser="release"))
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


RELEASED_TAGS = {
    # inference/config/category2type_autoj.json: every scenario with another tag than most
    "建议型回答": "asking_how_to_question seeking_advice recommendation",
    "逻辑推理型回答": (
        "code_simplification math_reasoning solving_exam_question_with_math counterfactual code_correction_rewriting "
        "explaining_code solving_exam_question_without_math code_to_code_translation "
        # inference/config/category2type_llmeval.json
        "Reading_Comprehension Reasoning Math_Solving Classification Code"
    ),
    "事实与解释型回答": (
        "language_polishing text_simplification keywords_extraction explaining_general brainstorming ranking "
        "value_judgement verifying_fact text_to_text_translation analyzing_general information_extraction "
        "classification_identification reading_comprehension data_analysis topic_modeling open_question "
        "Factual_questions Rewrite Retrieval Role_playing"
    ),
    "生成型回答": (
        "post_summarization code_generation roleplay planning others chitchat paraphrasing text_correction "
        "writing_email title_generation question_generation instructional_rewriting "
        "Open_questions Translation Story_Generation Poetry Summary Outline_Generation Paragraph_Generation "
        "Conversation"
    ),
}


def test_scenarios_and_categories_have_the_tags_of_the_releases_tables() -> None:
    """15 + 16 + 3 of Auto-J's 58 scenarios by name, and the number of all; LLMEval's 17 categories."""
    for tag, names in RELEASED_TAGS.items():
        for name in names.split():
            for default in ("advice", "reasoning"):
                config = CritiquePairPrompt(style="zh", plain=True, answer_type=default)  # type: ignore[arg-type]
                shown = CritiquePair(config).judge_prompt(replace(PAIR, subset=name), "ab")[0]["content"]
                assert shown.startswith(f"[{tag}]\n"), name
    counts = Counter(answer_type(name, "unknown") for name in GROUP_OF)
    assert counts == {"factual": 16, "reasoning": 8, "writing": 31, "advice": 3}


def test_the_release_takes_the_first_score_and_the_first_verdict_of_its_list() -> None:
    """``extract_number`` and ``extract_label`` of the release's ``evaluation/``."""
    scores = {
        "{'综合得分': 4} {'综合得分': 5}": 4.0, "综合得分: 3\n{'综合得分': 4}": 4.0, "综合得分：9。综合得分: 8": 8.0,
        "{'综合得分': 10}": 10.0, "{'综合得分': 7.5}": 7.5, "{'综合得分': 12}": 1.0, "{'综合得分': 0}": 0.0,
        '{"综合得分": 6}': None, "{'综合得分':6}": None, "{'综合得分': 八}": None, "": None,
    }  # fmt: skip
    assert {text: RELEASED_POINT.read_score(text, False).score for text in scores} == scores
    assert RELEASED_POINT.read_score("综合得分: 7，因为", True).score == 7.0, "it does not know what was cut off"
    assert RELEASED_POINT.read_score("很好", True).invalid == "truncated"
    first, second, neither = RELEASED_PAIR.verdict_tokens
    assert (first, neither) == ("{'综合比较结果': '助手1'}", "{'综合比较结果': '质量相当'}")
    verdicts = {
        second + first: "A", neither + second: "B", neither: "tie", f"{second}。": "B",
        '{"综合比较结果": "助手1"}': None, "{'综合比较结果': '助手3'}": None, "助手1": None,
    }  # fmt: skip
    assert {text: RELEASED_PAIR.read(text, False).verdict for text in verdicts} == verdicts
    assert RELEASED_PAIR.read(first + "因", True).verdict == "A"
    assert RELEASED_PAIR.read("{'综合", True).invalid == "truncated"


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


@pytest.mark.parametrize(("prompt", "asked"), [(None, RELEASED_PAIR), ("critiquellm_point_plain", RELEASED_POINT)])
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
