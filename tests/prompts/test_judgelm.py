"""JudgeLM's prompt in every mode, and its score line."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from judgekit.errors import DataError, ModelError
from judgekit.judges import find_judge
from judgekit.models import obtain
from judgekit.prompts.base import PairProtocol, PointProtocol, ShapedReply
from judgekit.prompts.chat import encode_prompt, encode_reply
from judgekit.prompts.judgelm import JudgeLM, JudgeLMPrompt, JudgeLMSingle, JudgeLMSinglePrompt, read_scores
from judgekit.prompts.pairwise import PairwisePrompt
from judgekit.rows import Response, ResponsePair
from judgekit.schema.composition import Composer
from judgekit.schema.evaluation import EvalConfig
from tests.prompts.test_chat import make_llama_tokenizer

PAIR = ResponsePair("p", "Why {low}?", "So {high}", "[Question]\n10 1", "A", reference="Because {number}")


def text(config: JudgeLMPrompt, order: str = "ab") -> str:
    return JudgeLM(config).judge_prompt(PAIR, "ab" if order == "ab" else "ba")[0]["content"]


def test_the_slots_stand_in_the_papers_order() -> None:
    shown = text(JudgeLMPrompt())
    parts = (
        "answers of AI assistants are.\n[Question]\nWhy {low}?\n\n",
        "[Reference Answer]\nBecause {number}\n\n",
        "[The Start of Assistant 1's Answer]\nSo {high}\n\n[The End of Assistant 1's Answer]\n\n",
        "[The Start of Assistant 2's Answer]\n[Question]\n10 1\n\n[The End of Assistant 2's Answer]\n\n",
        "[System]\n",
        "from 1 to 10",
        "\n\n### Response:",
    )
    places = [shown.index(part) for part in parts]
    assert all(before < after for before, after in pairwise(places)) and shown.endswith(parts[-1])
    assert "two AI assistants" in shown and "the two scores" in shown and "Assistant 1 and 2 in this order" in shown
    swapped = text(JudgeLMPrompt(), "ba")
    assert swapped.index("[Question]\n10 1") < swapped.index("So {high}")


def test_modes_change_what_they_are_for() -> None:
    plain = text(JudgeLMPrompt(reference=False))
    assert "[Reference Answer]" not in plain and "measure the answers" not in plain
    assert "over all turns" in text(JudgeLMPrompt(multi_turn=True)) and "over all turns" not in plain
    own = text(JudgeLMPrompt(opening="Check.", request="Rate the {number}, {assistants}, {low}-{high}."))
    assert own.startswith("Check.\n[Question]") and own.endswith(
        "[System]\nRate the two, Assistant 1 and 2, 1-10.\n\n### Response:"
    )
    fast, slow = JudgeLM(JudgeLMPrompt(fast=True)), JudgeLM(JudgeLMPrompt())
    assert fast.stops == ("\n",) and slow.stops == () and fast.prefill == ""
    assert text(JudgeLMPrompt(fast=True)) == text(JudgeLMPrompt())


def test_several_answers_are_asked_about_at_once() -> None:
    judge = JudgeLM(JudgeLMPrompt())
    shown = judge.many_prompt("q", ["a", "b", "c"], "r")[0]["content"]
    assert "the three AI assistants" in shown and "of Assistant 1, 2 and 3 in this order" in shown
    assert shown.count("[The Start of Assistant") == 3 and "[Reference Answer]\nr\n" in shown
    assert "the 13 AI assistants" in judge.many_prompt("q", ["a"] * 13)[0]["content"]
    assert judge.many_prompt(PAIR.instruction, [PAIR.response_a, PAIR.response_b], PAIR.reference) == (
        judge.judge_prompt(PAIR, "ab")
    )
    with pytest.raises(ValueError, match="fewer than two"):
        judge.many_prompt("q", ["a"])
    assert judge.read_many("7 8.5 3\nwhy", False, 3).scores == (7.0, 8.5, 3.0)
    assert judge.read_many("7 8.5\nwhy", False, 3).invalid == "wrong number of scores"


def test_a_single_answer_is_scored_behind_the_reference() -> None:
    judge = JudgeLMSingle(JudgeLMSinglePrompt())
    assert isinstance(judge, PointProtocol) and isinstance(judge, ShapedReply) and judge.scale == (1.0, 10.0)
    shown = judge.score_prompt(Response("r", "q", "mine", reference="ref"))[0]["content"]
    assert "Assistant 1's Answer]\nref\n" in shown and "Assistant 2's Answer]\nmine\n" in shown
    assert "[Reference Answer]" not in shown and shown.endswith("### Response:") and judge.prefill == "10"
    both = JudgeLMSingle(JudgeLMSinglePrompt(reference=True))
    assert "[Reference Answer]\nref" in both.score_prompt(Response("r", "q", "mine", reference="ref"))[0]["content"]
    assert judge.read_score(" 7\nGood.", False).score == 7.0
    assert judge.read_score("0 7\nGood.", False).invalid == "out of range"
    assert judge.read_score("7", False).invalid == "wrong number of scores"
    assert judge.read_score(" 7 8\n", False).invalid == "wrong number of scores"
    assert judge.read_score(" 7", True).invalid == "truncated"
    with pytest.raises(DataError, match="row 'r' has none"):
        judge.score_prompt(Response("r", "q", "mine"))


TABLE = [
    # text, cut, verdict or reason, the same by the release's parser
    ("8 7", False, "A", "A"),
    ("8 7\nAssistant 1 ...", False, "A", "A"),
    ("8, 7\nwhy", False, "A", "not scores"),
    ("8,7\nwhy", False, "A", "A"),
    ("7.5 7.25", False, "A", "A"),
    ("3 9\nwhy", True, "B", "B"),
    ("3 9", True, "truncated", "truncated"),
    ("6 6\nwhy", False, "tie", "tie"),
    ("11 6\nwhy", False, "out of range", "A"),
    ("0 6\nwhy", False, "out of range", "B"),
    ("-1 -1", False, "out of range", "tie"),
    ("nan 6", False, "not scores", "out of range"),
    ("8", False, "wrong number of scores", "wrong number of scores"),
    ("8 7 6", False, "wrong number of scores", "wrong number of scores"),
    ("8 seven", False, "not scores", "not scores"),
    ("Scores: 8 7", False, "not scores", "not scores"),
    ("8/10 7/10", False, "not scores", "not scores"),
    ("8 +1", False, "not scores", "A"),  # one sum, not two scores
    ("7-8 6", False, "not scores", "not scores"),
    ("8½ 7", False, "not scores", "not scores"),
    ("8 7 \nwhy", False, "A", "not scores"),
    # The release strips the whole text before it parses it (gen_model_judgement.py), but not the first line.
    ("\n8 7", False, "A", "A"),
    (" 8 7\nwhy", False, "A", "A"),
    ("8 7 ", False, "A", "A"),
    (" 3 9\n", True, "B", "B"),
    ("\n8  7", False, "A", "not scores"),
    ("", False, "missing", "missing"),
    ("", True, "truncated", "truncated"),
    ("1e1 ٣", False, "not scores", "A"),
]


@pytest.mark.parametrize(("reply", "cut", "said", "released"), TABLE)
def test_the_score_line(reply: str, cut: bool, said: str, released: str) -> None:
    for rule, wanted in (("any", said), ("release", released)):
        config = JudgeLMPrompt(parser="release" if rule == "release" else "any")
        found = JudgeLM(config).read(reply, cut)
        assert (found.verdict or found.invalid) == wanted, rule
        assert (found.scores is None) == (found.verdict is None)


def test_scores_within_the_margin_tie() -> None:
    judge = JudgeLM(JudgeLMPrompt(margin=1.0))
    assert judge.read("8 7", False).verdict == "tie"
    assert judge.read("8 6.5", False).verdict == "A"
    assert judge.read("8 7", False).scores == (8.0, 7.0)


def test_counts_of_a_mixed_lot() -> None:
    lot = ["8, 7", "8 7", "8.5 9", "12 3", "garbage", "8 7 6", ""]
    found = [read_scores(reply, 2, 1, 10) for reply in lot]
    assert sum(one.scores is not None for one in found) == 3
    assert [one.invalid for one in found[3:]] == ["out of range", "not scores", "wrong number of scores", "missing"]


def test_it_is_a_protocol_without_verdict_tokens() -> None:
    judge = JudgeLMPrompt().protocol
    assert isinstance(judge, PairProtocol) and judge.verdict_tokens == () and isinstance(judge, ShapedReply)
    assert not isinstance(PairwisePrompt().protocol, ShapedReply)
    assert not isinstance(JudgeLMSinglePrompt().protocol, PairProtocol)


def test_released_weights_read_the_tokens_of_one_plain_text() -> None:
    """BOS, the whole prompt in one piece up to the colon, then the scores without a space before them, then EOS."""
    tokenizer = make_llama_tokenizer()
    pair = ResponsePair("p", "Hi", "a</s>", "b", None, reference="c")
    prompt = JudgeLM(JudgeLMPrompt(plain=True)).judge_prompt(pair, "ba")
    text = prompt[0]["content"]
    assert text.index("b\n\n[The End of Assistant 1's") < text.index("a</s>\n\n[The End of Assistant 2's")
    ids = encode_prompt(tokenizer, prompt)
    tokens = tokenizer.convert_ids_to_tokens(ids)
    assert tokens[0] == "<s>" and "</s>" not in tokens and tokens[-9:] == list("Response:")
    target = encode_reply(tokenizer, "8 7\nwhy", prompt=prompt)
    assert tokenizer.convert_ids_to_tokens(target) == ["8", "\u2581", "7", "<0x0A>", "w", "h", "y", "</s>"]
    assert ids + target[:-1] == tokenizer.encode(text + "8 7\nwhy", split_special_tokens=True)

    single = JudgeLMSingle(JudgeLMSinglePrompt(plain=True))
    asked = single.score_prompt(Response("r", "Hi", "b", reference="c"))
    begun = encode_prompt(tokenizer, asked, single.prefill)
    assert tokenizer.convert_ids_to_tokens(begun)[-3:] == [":", "1", "0"]
    assert begun == tokenizer.encode(asked[0]["content"] + "10")


def test_the_released_judges_bring_their_protocol() -> None:
    composer = Composer(name="eval", kind=EvalConfig)
    for size in ("7b", "13b", "33b"):
        overrides = [f"judge=judgelm_{size}", "judge.model.revision=0123456789abcdef", "judge.prompt.wording=own"]
        config = composer.job(overrides, ignoring=("benchmark", "benchmarks")).config
        assert isinstance(config, EvalConfig)
        found = find_judge(config.judge, config.sampler)
        assert found.name == f"judgelm_{size}" and isinstance(found.prompt, JudgeLMPrompt) and found.prompt.plain
        assert found.prompt.parser == "release"
        assert found.model is not None and found.model.hub_id == f"BAAI/JudgeLM-{size.upper()}-v1.0"
        assert (config.judge.tokens, found.model.max_length) == (512, 2048)
    with pytest.raises(ModelError, match=r"needs model.revision=COMMIT"):
        obtain(replace(found.model, revision=None))
