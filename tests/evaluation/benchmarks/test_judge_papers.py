"""Numbers of the papers that made judges, against a few lines of each release's own definition.

Judges are synthetic: their replies are texts, read here by the release's code in short and there by the protocol. For
each benchmark one judge separates the release's rule from the one that lies near.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from judgekit.evaluation.benchmarks import load_benchmark, load_scored
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.evaluation.flat_metrics import benchmark_numbers, point_numbers
from judgekit.prompts.autoj import AutoJ, AutoJPrompt
from judgekit.prompts.base import PairProtocol, name_response
from judgekit.prompts.critiquellm import CritiquePair, CritiquePairPrompt, CritiquePoint, CritiquePointPrompt
from judgekit.prompts.judgelm import JudgeLM, JudgeLMPrompt
from judgekit.randomness import draw_uniform, pick
from judgekit.rows import ORDERS, ResponsePair, ScoredResponse
from judgekit.verdict_rows import VerdictRow
from tests.evaluation.benchmarks.published import JUDGELM_PAIR, review

Replies = Mapping[tuple[str, str], str]
"""A judge's texts by pair and order."""


def pairs_of(kind: str, path: Path, limit: int | None = None) -> list[ResponsePair]:
    found = load_benchmark(kind, BenchmarkConfig(kind=kind, path=str(path), limit=limit), [])  # type: ignore[arg-type]
    assert found is not None
    return found


def verdicts_of(pairs: Sequence[ResponsePair], replies: Replies, protocol: PairProtocol) -> list[VerdictRow]:
    rows = []
    for pair in pairs:
        for order in ORDERS:
            said = protocol.read(replies[pair.id, order], False)
            verdict = name_response(said.verdict, order)
            rows.append(VerdictRow(pair.id, order, 0, verdict, said.invalid, replies[pair.id, order]))
    return rows


def numbers_of(kind: str, pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow]) -> dict[str, Any]:
    found = benchmark_numbers("it", kind, pairs, verdicts, seed=0, resamples=10)
    return {name.removeprefix("it/"): value for name, value in found.items()}


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


# JudgeLM

GOLD = ("8 6\nGood.", "3 9\nWorse.", "5 5\nAlike.", "7, 8\nno label", "error", "6,9\nno space")
REPLIES = {
    "clean": ("9 4", "4 9", "7 7"),
    "loose": (" 9 4\nFine.", "\n4 9", "7, 7", "9, 4\nFine.", "4 9 \nHm.", "8 8 ", "4  9"),
    "first": ("9 4", "9 4", "9 4", "4 9", "nothing"),
}


@pytest.mark.parametrize("judge", REPLIES)
@pytest.mark.parametrize("kind", ["judgelm", "judgelm_reference"])
def test_judgelms_table(tmp_path: Path, kind: str, judge: str) -> None:
    numbers = range(120)
    write_lines(tmp_path / "judgelm_val_5k.jsonl", [JUDGELM_PAIR | {"question_id": one} for one in numbers])
    gold = [pick(GOLD, kind, one) for one in numbers]
    name = "judgelm_val_5k_gpt4.jsonl"
    if kind == "judgelm_reference":
        name = "judgelm_val_5k_gpt4_with_reference.jsonl"
        references = [{"question_id": one, "reference": {"text": f"r{one}"}} for one in numbers]
        write_lines(tmp_path / "judgelm_val_5k_references.jsonl", references)
    write_lines(tmp_path / name, [review(text, one) for one, text in enumerate(gold)])
    pairs = pairs_of(kind, tmp_path)
    replies = {(pair.id, order): pick(REPLIES[judge], judge, pair.id, order) for pair in pairs for order in ORDERS}

    def parsed(text: str) -> tuple[float, ...]:
        try:
            first, second = map(float, text.split("\n")[0].replace(",", " ").split(" "))
        except ValueError:
            return -1.0, -1.0
        return first, second

    def wins(texts: Sequence[str]) -> list[int]:
        return [(one > two) - (one < two) for one, two in map(parsed, texts)]

    kept = [one for one in numbers if -1 not in parsed(gold[one])]
    right = wins([gold[one] for one in kept])
    plain, back = (wins([replies[pairs[one].id, order].strip() for one in kept]) for order in ORDERS)
    expected = dict(zip(("precision", "recall", "f1"), precision_recall_fscore_support(
        right, plain, average="macro", zero_division=0), strict=False))  # fmt: skip
    lean = [one + two for one, two in zip(plain, back, strict=True)]  # 1: the first position won
    first, second = sum(one > 0 for one in lean) / len(kept), sum(one < 0 for one in lean) / len(kept)
    expected |= {"agreement": accuracy_score(right, plain), "consistency": lean.count(0) / len(kept)}
    expected |= {"bias_first": first, "bias_second": second, "delta_bias": abs(first - second)}

    found = numbers_of(kind, pairs, verdicts_of(pairs, replies, JudgeLM(JudgeLMPrompt(parser="release"))))
    assert {name: found[f"sections/{name}"] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert (found["n"], found["unlabelled"]) == (len(kept), 120 - len(kept)) and 0 < len(kept) < 120
    assert [pair.reference for pair in pairs[:2]] == ([None, None] if kind == "judgelm" else ["r0", "r1"])
    loose = numbers_of(kind, pairs, verdicts_of(pairs, replies, JudgeLM(JudgeLMPrompt())))
    same = loose["sections/agreement"] == pytest.approx(expected["agreement"])
    assert same == (judge != "loose"), "a looser parser tells of another judge"
    assert found["precision_macro"] != pytest.approx(expected["precision"]), "nor does the table pool both orders"


# Auto-J

TABLE = """
Summarization 45.83 73.61
Exam Questions 38.89 69.44
Code 47.5 75.83
Rewriting 49.17 74.17
Creative Writing 59.72 87.04
Functional Writing 61.67 81.67
General Communication 55.21 92.36
NLP Tasks 57.58 86.36
Overall 54.96 83.41
"""
"""What the release's leaderboard prints of Auto-J 13B (codes/leaderboard/README.md)."""
SCENARIOS = {
    "Summarization": "post_summarization text_summarization note_summarization",
    "Exam Questions": "math_reasoning solving_exam_question_with_math solving_exam_question_without_math",
    "Code": "code_simplification code_generation explaining_code code_correction_rewriting code_to_code_translation",
    "Rewriting": "text_simplification language_polishing instructional_rewriting text_correction paraphrasing",
    "Creative Writing": "writing_song_lyrics writing_social_media_post writing_blog_post writing_personal_essay "
    "creative_writing writing_advertisement writing_marketing_materials writing_presentation_script counterfactual",
    "Functional Writing": "writing_product_description writing_job_application writing_news_article "
    "writing_biography writing_email writing_legal_document writing_technical_document writing_scientific_paper "
    "functional_writing writing_cooking_recipe",
    "General Communication": "asking_how_to_question open_question analyzing_general explaining_general "
    "seeking_advice recommendation value_judgement verifying_fact chitchat roleplay planning brainstorming",
    "NLP Tasks": "ranking text_to_text_translation data_analysis classification_identification title_generation "
    "question_generation reading_comprehension keywords_extraction information_extraction topic_modeling others",
}
OUTPUTS = ("So, the final decision is Response 1.", "the final decision is Response 2", "final decision is Tie")


@pytest.fixture(scope="module")
def eval_p(tmp_path_factory: pytest.TempPathFactory) -> list[ResponsePair]:
    """58 scenarios with 24 rows each, as released."""
    scenarios = [name for names in SCENARIOS.values() for name in names.split()] * 24
    rows = [
        {"scenario": name, "label": place % 3, "prompt": f"q{place}", "response 1": "a", "response 2": "b"}
        for place, name in enumerate(scenarios)
    ]
    file = tmp_path_factory.mktemp("autoj") / "testdata_pairwise.jsonl"
    write_lines(file, rows)
    return pairs_of("autoj", file)


def autoj_judge(name: str, pairs: Sequence[ResponsePair]) -> dict[tuple[str, str], int]:
    """Labels by pair and order (0, 1, 2: first, second position, tie)."""
    if name == "single":  # rates each response, so that both orders say the same
        said = {pair.id: pick((0, 1, 2), "single", pair.id) for pair in pairs}
        return {(key, order): one if order == "ab" or one == 2 else 1 - one for key, one in said.items()
                for order in ORDERS}  # fmt: skip
    return {(pair.id, order): pick((0, 0, 1, 2), name, pair.id, order) for pair in pairs for order in ORDERS}


@pytest.mark.parametrize("judge", ["first", "other", "single"])
def test_auto_js_groups(eval_p: list[ResponsePair], judge: str) -> None:
    outputs = autoj_judge(judge, eval_p)
    texts = {key: OUTPUTS[output] for key, output in outputs.items()}
    found = numbers_of("autoj", eval_p, verdicts_of(eval_p, texts, AutoJ(AutoJPrompt())))
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for pair in eval_p:
        group = next(name for name, names in SCENARIOS.items() if pair.subset in names.split())
        label = ("A", "B", "tie").index(str(pair.label))
        plain, swapped = outputs[pair.id, "ab"], outputs[pair.id, "ba"]
        restored = swapped if swapped == 2 else 1 - swapped
        for name in (group, "Overall"):
            counts[name] += Counter(n=1, both=plain == restored == label, same=plain == restored, plain=plain == label)
    for name, count in counts.items():
        plain_name = name.lower().replace(" ", "_")
        assert found[f"sections/{plain_name}/agreement"] == count["both"] / count["n"]
        assert found[f"sections/{plain_name}/consistency"] == count["same"] / count["n"]
        # type "single" of the release counts the original order
        assert (count["both"] == count["plain"]) == (judge == "single")
    groups = [found[f"sections/{name.lower().replace(' ', '_')}/agreement"] for name in SCENARIOS]
    assert found["sections/overall/agreement"] != pytest.approx(fmean(groups)), "rows weigh the same, not groups"


def test_auto_js_published_table(eval_p: list[ResponsePair]) -> None:
    """A judge with the released judge's numbers in every group has its numbers over all: 765 and 1161 of 1392."""
    published = {name: (float(one), float(two)) for name, one, two in re.findall(r"(?m)^(.+) (\S+) (\S+)$", TABLE)}
    texts: dict[tuple[str, str], str] = {}
    for group, names in SCENARIOS.items():
        members = [pair for pair in eval_p if pair.subset in names.split()]
        both, same = (round(value * len(members) / 100) for value in published[group])
        for place, pair in enumerate(members):
            right = ("A", "B", "tie").index(str(pair.label))
            plain = right if place < both else (right + 1) % 3
            swapped = plain if plain == 2 else 1 - plain
            texts[pair.id, "ab"] = OUTPUTS[plain]
            texts[pair.id, "ba"] = OUTPUTS[swapped if place < same else (swapped + 1) % 3]
    found = numbers_of("autoj", eval_p, verdicts_of(eval_p, texts, AutoJ(AutoJPrompt())))
    printed = {
        name: tuple(round(100 * found[f"sections/{name.lower().replace(' ', '_')}/{what}"], 2)
                    for what in ("agreement", "consistency"))
        for name in published
    }  # fmt: skip
    assert printed == published
    assert (765 / 1392, 1161 / 1392) == (found["sections/overall/agreement"], found["sections/overall/consistency"])


# CritiqueLLM

ENDINGS = ("{'综合比较结果': '助手1'}", "{'综合比较结果': '助手2'}", "{'综合比较结果': '质量相当'}")
COMPARISONS = {
    "clean": ENDINGS,
    "wavering": (ENDINGS[0], ENDINGS[1] + ENDINGS[0], ENDINGS[2] + ENDINGS[1], ENDINGS[1], ENDINGS[2]),
    "untidy": (*ENDINGS, "助手1更好", ENDINGS[0].replace("'", '"'), "{'综合比较结果': '助手2', }"),
}


@pytest.mark.parametrize("judge", COMPARISONS)
@pytest.mark.parametrize("kind", ["llmeval", "alignbench"])
def test_critiquellms_agreement_and_consistency(tmp_path: Path, kind: str, judge: str) -> None:
    rows = [
        {"id": place, "category": "Poetry", "question": f"q{place}", "reference": "r", "response_1": "a",
         "response_2": "b", "label": place % 3}
        for place in range(90)
    ]  # fmt: skip
    name = "llmeval.jsonl" if kind == "llmeval" else "alignbench_reference_based.jsonl"
    write_lines(tmp_path / "pairwise" / name, rows)
    pairs = pairs_of(kind, tmp_path)
    texts = {(pair.id, order): pick(COMPARISONS[judge], pair.id, order) for pair in pairs for order in ORDERS}

    def label(text: str) -> int:
        return next((place for place, ending in enumerate(ENDINGS) if ending in text), -1)

    said = [(label(texts[pair.id, "ab"]), label(texts[pair.id, "ba"])) for pair in pairs]
    same = [one for one, two in enumerate(said) if two in ((0, 1), (1, 0), (2, 2))]
    agreed = [one for one in same if said[one][0] == rows[one]["label"]]
    protocol = CritiquePair(CritiquePairPrompt(style="zh", plain=True, parser="release"))
    found = numbers_of(kind, pairs, verdicts_of(pairs, texts, protocol))
    assert (found["consistent_accuracy"], found["consistency"]) == (len(agreed) / 90, len(same) / 90)
    strict = numbers_of(kind, pairs, verdicts_of(pairs, texts, CritiquePair(CritiquePairPrompt(style="zh"))))
    assert (strict["consistency"] == found["consistency"]) == (judge == "clean")


SCORES = {
    "clean": lambda human, draw: f"{{'综合得分': {human + draw}}}",
    "wavering": lambda human, draw: f"综合得分: 1\n{{'综合得分': {human + draw}}}\n{{'综合得分': {9 - human}}}",
    "flat": lambda human, draw: "{'综合得分': 5}" if human > 3 else f"综合得分：{human + draw}",
}


@pytest.mark.parametrize("judge", SCORES)
def test_critiquellms_correlations(tmp_path: Path, judge: str) -> None:
    """Blocks of eight answers to one question, those without a rank correlation left out (``eval_pointwise.py``)."""
    rows = [
        {"id": place, "category": "基本能力", "question": f"q{place // 8}", "reference": "r", "response": "a",
         "model": f"m{place % 8}", "human_score": 5 if place < 8 else 1 + int(5 * draw_uniform("human", place))}
        for place in range(48)
    ]  # fmt: skip
    write_lines(tmp_path / "pointwise" / "alignbench_reference_based.jsonl", rows)
    config = BenchmarkConfig(kind="alignbench", path=str(tmp_path))  # type: ignore[arg-type]
    responses = load_scored("alignbench", config)
    assert responses is not None
    texts = [SCORES[judge](row["human_score"], pick((0, 1, 2), "noise", row["id"])) for row in rows]
    found = scored_numbers(responses, texts)

    def number(text: str) -> float:
        for before in ("'综合得分': ", "综合得分: ", "综合得分："):
            if match := re.search(before + r"((?:0|10)(?:\.0*)?|[0-9](?:\.\d*)?)", text):
                return float(match[1])
        return 5.0

    human, said = [row["human_score"] for row in rows], [number(text) for text in texts]
    for name, correlation in (("pearson", pearsonr), ("spearman", spearmanr), ("kendall", kendalltau)):
        values = []
        for start in range(0, 48, 8):
            block = human[start : start + 8], said[start : start + 8]
            if len(set(block[0])) > 1 and len(set(block[1])) > 1:
                values.append(correlation(*block)[0])
        means = [[fmean(one[model::8]) for model in range(8)] for one in (human, said)]
        assert 0 < len(values) < 6, "some block has no correlation"
        assert found[f"text_{name}"] == pytest.approx(fmean(values), abs=1e-12)
        assert found[f"system_{name}"] == pytest.approx(correlation(*means)[0], abs=1e-12)


def scored_numbers(responses: Sequence[ScoredResponse], texts: Sequence[str]) -> dict[str, Any]:
    protocol = CritiquePoint(CritiquePointPrompt(style="zh", plain=True, parser="release"))
    scores = {row.id: protocol.read_score(text, False).score for row, text in zip(responses, texts, strict=True)}
    found = point_numbers("it", responses, scores, (1, 10), seed=0, resamples=10)
    return {name.removeprefix("it/"): value for name, value in found.items()}


# ROSCOE of JUDGE-BENCH

RATERS: dict[str, Callable[[str, float], float]] = {
    "close": lambda name, human: human,
    "noisy": lambda name, human: human + pick((-2, 0, 2), name),
    # Right within a data set, but generous to one of them: files put together would look worse
    "partial": lambda name, human: human + (10 if "drop" in name else 0),
}


@pytest.mark.parametrize("judge", RATERS)
def test_roscoes_correlations_are_those_of_each_file(tmp_path: Path, judge: str) -> None:
    graded = [{"metric": name, "category": "graded", "prompt": f"{name}? {{{{ instance }}}}", "worst": 1, "best": 5}
              for name in ("Overall Quality", "Coherency")]  # fmt: skip
    human: dict[str, float] = {}
    for part in ("drop", "gsm8k"):
        instances = []
        for number in range(30):
            annotations = {}
            for one in graded:
                key = f"roscoe/{part}/{number}/{one['metric']}"
                human[key] = pick((1, 2, 3) if part == "drop" else (3, 4, 5), key)
                annotations[one["metric"]] = {"mean_human": human[key], "individual_human_scores": [human[key]]}
            text = f"Read.\n\nCONTEXT:\n{part} {number}\n\nGENERATED RESPONSE:\nso\nJudge the generated response:\n"
            instances.append({"id": number, "instance": text, "annotations": annotations})
        content = {"dataset": f"roscoe-{part}-overall", "annotations": graded, "instances": instances}
        (tmp_path / f"roscoe-{part}-overall.json").write_text(json.dumps(content), encoding="utf-8")
    responses = load_scored("roscoe", BenchmarkConfig(kind="roscoe", path=str(tmp_path)))  # type: ignore[arg-type]
    assert responses is not None and {row.id: row.score for row in responses} == human
    scores = {key: RATERS[judge](key, value) for key, value in human.items()}
    found = point_numbers("it", responses, scores, (1, 15), seed=0, resamples=10)
    parts = [f"{part}/{metric}" for part in ("drop", "gsm8k") for metric in ("Overall Quality", "Coherency")]
    for part in parts:
        data, _, metric = part.partition("/")
        keys = [key for key in human if key.split("/")[1::2] == [data, metric]]
        assert len(keys) == 30
        expected = spearmanr([human[key] for key in keys], [scores[key] for key in keys])[0]
        assert found[f"it/{part}/pooled_spearman"] == pytest.approx(expected, abs=1e-12)
    pooled = [key for key in human if key.endswith("Coherency")]
    together = spearmanr([human[key] for key in pooled], [scores[key] for key in pooled])[0]
    if judge == "partial":
        assert found["it/drop/Coherency/pooled_spearman"] == pytest.approx(1.0) and together < 0.5


# Fine-Grained RLHF

PREFERENCES: dict[str, tuple[str | None, ...]] = {
    "decided": ("A", "B"), "tying": ("A", "B", "tie", "tie"), "failing": ("A", "B", None),
}  # fmt: skip


@pytest.mark.parametrize("judge", PREFERENCES)
def test_fine_grained_preferences(shared_data: Callable[[str], Path], judge: str) -> None:
    """Pairs without a preference are skipped and a difference of 0 is wrong (``run_pref_rm.py``)."""
    folder = shared_data("finegrained_rlhf")
    rows = json.loads((folder / "tasks/qa_feedback/data/dev_feedback.json").read_text(encoding="utf-8"))
    pairs = pairs_of("finegrained_rlhf", folder)
    verdicts = [
        VerdictRow(pair.id, order, 0, said, None if said else "missing", "")  # type: ignore[arg-type]
        for pair in pairs
        for order in ORDERS
        for said in [pick(PREFERENCES[judge], judge, pair.id, order)]
    ]
    wanted = {
        f"finegrained_rlhf/{place}/{answers}": preference
        for place, row in enumerate(rows)
        for answers, preference in zip(("12", "13", "14", "23", "24", "34"), row["preference"], strict=True)
    }
    right = [{1: "A", 2: "B"}[wanted[row.id]] == row.verdict for row in verdicts if wanted[row.id] != 0]
    found = numbers_of("finegrained_rlhf", pairs, verdicts)
    assert len(right) == 2 * (1577 + 1039)
    assert found["sections/preferred"] == pytest.approx(sum(right) / len(right), abs=1e-12)
    assert found["accuracy"] != pytest.approx(found["sections/preferred"]), "which counts every pair"


def test_a_limit_meets_every_pair_of_answers(shared_data: Callable[[str], Path]) -> None:
    pairs = pairs_of("finegrained_rlhf", shared_data("finegrained_rlhf"), limit=100)
    compared = Counter(pair.id.rpartition("/")[2] for pair in pairs)
    assert compared == {"12": 17, "13": 16, "14": 17, "23": 17, "24": 16, "34": 17}
    assert [pair.id for pair in pairs] == sorted((pair.id for pair in pairs), key=lambda name: (
        int(name.split("/")[1]), name))  # fmt: skip


def test_a_limit_meets_every_system(shared_data: Callable[[str], Path]) -> None:
    """Seven systems follow each other: every seventh row would be one system's."""
    path = str(shared_data("judge_bench_20"))
    rows = load_scored("newsroom", BenchmarkConfig(kind="newsroom", path=path, limit=240))  # type: ignore[arg-type]
    assert rows is not None and len(rows) == 240
    assert set(Counter(row.subset for row in rows).values()) == {60}
    systems = Counter(row.system for row in rows if row.subset == "Fluency")
    assert len(systems) == 7 and set(systems.values()) <= {8, 9}
