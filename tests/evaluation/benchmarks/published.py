"""A row or two of every benchmark in its published format, written by hand."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any


def reply(message_id: str, text: str, rank: int | None, replies: list[Any] | None = None) -> dict[str, Any]:
    return {"message_id": message_id, "text": text, "role": "assistant", "rank": rank, "replies": replies or []}


def talk(*contents: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(contents)]


TREE = {
    "message_tree_id": "t",
    "prompt": {
        "message_id": "root",
        "text": "Name a colour",
        "role": "prompter",
        "replies": [
            reply("worse", "seven", 2),
            reply(
                "best", "red", 0,
                [{"message_id": "again", "text": "Another", "role": "prompter",
                  "replies": [reply("c", "blue", 1), reply("d", "teal", 0), reply("e", "no", None)]}],
            ),
            reply("middle", "a colour", 1) | {"model_name": "m7"},
        ],
    },
}  # fmt: skip

JUDGE_BENCH = {
    "annotations": [
        {"metric": "Fluency", "category": "graded", "prompt": "Is it fluent? {{ instance }}", "worst": 1, "best": 5},
        {"metric": "Missing", "category": "categorical", "prompt": "?", "labels_list": ["yes", "no"]},
    ],
    "instances": [],
}

STATISTICS = {"logprobs": -7.0179795026779175, "rougeL": 0.1, "bleu": 0.02}
"""What the ``score`` of a pair of JudgeLM's validation set holds of each answer: no judgment."""
JUDGELM_PAIR = {
    "question_id": 5, "score": [STATISTICS, STATISTICS], "question_body": "q", "answer1_body": "a",
    "answer2_body": "b", "answer1_model_id": "m", "answer2_model_id": "n",
    "answer1_metadata": {"decoding_method": "top_p_sampling"},
    "answer2_metadata": {"decoding_method": "top_p_sampling"},
}  # fmt: skip


def review(text: str, question: int = 5) -> dict[str, Any]:
    """A row of GPT-4's reviews of JudgeLM's validation set."""
    return {
        "review_id": "HZKJa", "question_id": question, "answer1_id": "", "answer2_id": "", "reviewer_id": 1,
        "metadata": {}, "text": text, "score": [-1, -1],
    }  # fmt: skip


BESIDE: dict[str, dict[str, list[dict[str, Any]]]] = {
    "judgelm": {"judgelm_val_5k_gpt4.jsonl": [review("7 8.5\nAssistant 2 ...")]},
    "judgelm_reference": {
        "judgelm_val_5k_gpt4_with_reference.jsonl": [review("9 8.5\nAssistant 1 ...")],
        "judgelm_val_5k_references.jsonl": [
            {"question_id": 5, "reference": {"decoding_method": "None", "model": "g", "text": "g"}}
        ],
    },
}
"""Further files of a release, by kind and name."""

ROWS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "llmbar": (
        "Dataset/LLMBar/Natural/dataset.json",
        [{"input": "Say hi", "output_1": "hi", "output_2": "no", "label": 2}],
    ),
    "pandalm": (
        "data/testset-v1.json",
        [
            {"idx": 0, "cmp_key": "m1_m2", "instruction": "Check", "input": "1 = 1", "response1": True,
             "response2": "yes", "annotator1": 1, "annotator2": 0, "annotator3": 1},
            {"idx": 1, "cmp_key": "m1_m2", "instruction": "Check", "input": "", "response1": "a", "response2": "b",
             "annotator1": 1, "annotator2": 0, "annotator3": 2},
        ],
    ),
    "judgebench": (
        "data/dataset=judgebench,response_model=m.jsonl",
        [{"pair_id": "x-1", "source": "livebench-math", "question": "1+1", "response_model": "m", "response_A": "3",
          "response_B": "2", "label": "B>A"}],
    ),
    "rm_bench": (
        "data/safety-refuse_filtered.json",
        [{"id": 7, "prompt": "q", "chosen": ["c0", "c1", "c2"], "rejected": ["r0", "r1", "r2"]}],
    ),
    "evalbiasbench": (
        "data/evalbiasbench/biasbench.json",
        [{"bias": "length bias", "instruction": "q", "response1": "a", "response2": "b", "label": 1}],
    ),
    "finegrained_rlhf": (
        "tasks/qa_feedback/data/dev_feedback.json",
        [{"question": "q?", "passages": [["Title", "Text."], ["Other"]], "gold": "g", "prediction 1": "p1",
          "prediction 2": "p2", "prediction 3": "p3", "prediction 4": "p4", "preference": [0, 1, 2, 1, 0, 2]}],
    ),
    "oasst": ("en_100_tree.jsonl", [TREE]),
    "rewardbench": (
        "data/filtered.jsonl",
        [{"id": 30, "subset": "hep-go", "prompt": "q", "chosen": "c", "chosen_model": "m", "rejected": "r",
          "rejected_model": "n"}],
    ),
    "mt_bench": (
        "human_judgments.json",
        [
            {"question_id": 81, "model_a": "m", "model_b": "n", "winner": "model_b", "judge": "expert_0", "turn": 1,
             "conversation_a": talk("q1", "a1", "q2", "a2"), "conversation_b": talk("q1", "b1", "q2", "b2")},
            {"question_id": 81, "model_a": "m", "model_b": "n", "winner": "tie (inconsistent)", "judge": "author_1",
             "turn": 2, "conversation_a": talk("q1", "a1", "q2", "a2"), "conversation_b": talk("q1", "b1", "q2", "b2")},
        ],
    ),
    "autoj": (
        "data/test/testdata_pairwise.jsonl",
        [{"scenario": "brainstorming", "label": 2, "prompt": "q", "response 1": "a", "response 2": "b"}],
    ),
    "judgelm": ("judgelm_val_5k.jsonl", [JUDGELM_PAIR]),
    "judgelm_reference": ("judgelm_val_5k.jsonl", [JUDGELM_PAIR]),
    "llmeval": (
        "data/evaluation/pairwise/llmeval.jsonl",
        [{"id": 0, "category": "Math_Solving", "question": "q", "response_1": "a", "response_2": "b", "label": 0}],
    ),
    "alignbench": (
        "pairwise/alignbench_reference_based_sample.jsonl",
        [{"id": 0, "category": "数学计算", "question": "q", "reference": "g", "response_1": "a", "response_2": "b",
          "human_score_1": 1, "human_score_2": 2, "label": 1}],
    ),
}  # fmt: skip
"""File name inside the release and rows, by kind."""

SCORED_ROWS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "oasst": ROWS["oasst"],
    "alignbench": (
        "pointwise/alignbench_reference_based_sample.jsonl",
        [{"id": 3, "category": "基本能力", "question": "q", "reference": "g", "response": "r", "model": "m",
          "human_score": 4}],
    ),
    "roscoe": (
        "roscoe-gsm8k-overall.json",
        [{"id": 1, "instance": "Read.\n\nCONTEXT:\nQuestion: 1+1?\n\nGENERATED RESPONSE:\nStep 1 - 2\n"
          "Judge the generated response:\n",
          "annotations": {"Fluency": {"individual_human_scores": ["4", "5"]}, "Missing": {}}}],
    ),
    "newsroom": (
        "newsroom.json",
        [{"id": 1, "instance": "### Generated Summary\n\nshort .\n\n### Source Article\n\nLong text.",
          "annotations": {"Fluency": {"individual_human_scores": [3, 5, 3], "mean_human": 3.67}}}],
    ),
}  # fmt: skip


def write_published(folder: Path, kind: str, rows: list[dict[str, Any]], scored: bool = False) -> Path:
    """The rows as the release has them."""
    file = folder / (SCORED_ROWS if scored else ROWS)[kind][0]
    file.parent.mkdir(parents=True, exist_ok=True)
    content: Any = rows
    if kind == "evalbiasbench":
        content = {row.get("bias", "none"): [row] for row in rows}
    if kind in ("roscoe", "newsroom"):
        content = JUDGE_BENCH | {"instances": rows}
    lines = file.suffix == ".jsonl"
    text = "".join(json.dumps(row) + "\n" for row in rows) if lines else json.dumps(content)
    file.write_text(text, encoding="utf-8")
    for name, others in BESIDE.get(kind, {}).items():
        file.with_name(name).write_text("".join(json.dumps(row) + "\n" for row in others), encoding="utf-8")
    return file


def rows_of(kind: str, scored: bool = False) -> list[dict[str, Any]]:
    """A copy of the rows."""
    return copy.deepcopy((SCORED_ROWS if scored else ROWS)[kind][1])
