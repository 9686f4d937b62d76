"""Cross-validation of the two paths, and training rows of critiques."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from judgekit.prompts.critiquellm import CritiquePair, CritiquePairPrompt, CritiquePoint, CritiquePointPrompt
from judgekit.recipes.critiquellm.eval_instruct import cross_validate, pair_rows, point_rows, responses_of
from judgekit.rows import Judgment, ResponsePair, Verdict
from judgekit.score_rows import ScoreRow

VERDICTS: list[Verdict] = ["A", "B", "tie"]
Path = dict[int, Verdict]


def judgments(path: Path, name: str) -> list[Judgment]:
    return [Judgment(f"p{pair}", "ab", 0, verdict, None, f"{name} {pair}") for pair, verdict in path.items()]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.integers(0, 9), st.sampled_from(VERDICTS)),
    st.dictionaries(st.integers(0, 9), st.sampled_from(VERDICTS)),
)
def test_exactly_the_agreeing_comparisons_are_kept(first: Path, second: Path) -> None:
    found = cross_validate(judgments(first, "one"), judgments(second, "two"))
    agreeing = [pair for pair in first if pair in second and first[pair] == second[pair]]
    assert [(one.text, two.text) for one, two in found.kept] == [(f"one {pair}", f"two {pair}") for pair in agreeing]
    assert found.dropped.total() == len(first | second) - len(agreeing)
    assert found.dropped["the paths disagree"] == len(first.keys() & second.keys()) - len(agreeing)
    assert found.dropped["no comparison on path 1"] == len(second.keys() - first.keys())


PAIR = ResponsePair("p", "Q?", "one", "two", "A", reference="three", subset="code")


def test_rows_are_on_the_prompt_of_their_kind() -> None:
    responses = {row.id: row for row in responses_of([PAIR])}
    assert [(row.id, row.response, row.reference, row.subset) for row in responses.values()] == [
        ("p/a", "one", "three", "code"), ("p/b", "two", "three", "code"),
    ]  # fmt: skip
    for reference in (True, False):
        protocol = CritiquePoint(CritiquePointPrompt(reference=reference))
        (row,) = point_rows("kind", [ScoreRow("p/b", 0, 7.0, None, "Fine.")], responses, protocol)
        assert (row.id, row.target) == ("kind/p/b", "Fine.")
        assert row.prompt == protocol.score_prompt(responses["p/b"])
        assert ("three" in row.prompt[0]["content"]) == reference


def test_swapped_rows_show_the_answers_the_other_way_round_and_say_so() -> None:
    protocol = CritiquePair(CritiquePairPrompt())
    text = "Assistant 2 is wrong.\n{'Overall comparison': 'Assistant 1'}"
    row = Judgment("p", "ab", 0, "A", None, text)
    plain, swapped = pair_rows("kind", [row], {"p": PAIR}, protocol, swap=True)
    assert (plain.id, plain.prompt, plain.target) == ("kind/p/ab", protocol.judge_prompt(PAIR, "ab"), text)
    assert swapped.prompt == protocol.judge_prompt(PAIR, "ba")
    assert swapped.target == "Assistant 1 is wrong.\n{'Overall comparison': 'Assistant 2'}"
    assert pair_rows("kind", [row], {"p": PAIR}, protocol, swap=False) == [plain]
