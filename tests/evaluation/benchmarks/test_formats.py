"""Every benchmark's published format, on rows written by hand: what comes out, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judgekit.errors import ConfigError, DataError
from judgekit.evaluation.benchmarks import benchmark_files, load_benchmark, load_scored
from judgekit.evaluation.benchmarks.base import BENCHMARKS, BenchmarkConfig, Loader
from judgekit.rows import ResponsePair, ScoredResponse
from tests.evaluation.benchmarks.published import (
    BESIDE,
    JUDGE_BENCH,
    ROWS,
    SCORED_ROWS,
    reply,
    review,
    rows_of,
    write_published,
)


def config(kind: str, path: Path | None = None, **values: Any) -> BenchmarkConfig:
    return BenchmarkConfig(kind=kind, path=None if path is None else str(path), **values)  # type: ignore[arg-type]


PAIRS = {name: kind.pairs for name, kind in BENCHMARKS.items() if isinstance(kind.pairs, Loader)}
SCORED = {name: kind.scored for name, kind in BENCHMARKS.items() if isinstance(kind.scored, Loader)}


def load(folder: Path, kind: str, rows: list[dict[str, Any]] | None = None) -> list[ResponsePair]:
    write_published(folder, kind, rows if rows is not None else rows_of(kind))
    found = load_benchmark(kind, config(kind, folder), [])
    assert found is not None
    return found


def load_single(folder: Path, kind: str, rows: list[dict[str, Any]] | None = None) -> list[ScoredResponse]:
    write_published(folder, kind, rows if rows is not None else rows_of(kind, True), scored=True)
    found = load_scored(kind, config(kind, folder))
    assert found is not None
    return found


def pair(name: str, instruction: str, a: str, b: str, label: Any, **more: Any) -> ResponsePair:
    return ResponsePair(name, instruction, a, b, label, **more)


EXPECTED: dict[str, list[ResponsePair]] = {
    "llmbar": [pair("llmbar/Natural/0", "Say hi", "hi", "no", "B", subset="Natural")],
    "pandalm": [
        pair("pandalm/0", "Check\n\n1 = 1", "True", "yes", "A", subset="m1_m2", model_a="m1", model_b="m2",
             input="1 = 1"),  # fmt: skip
        pair("pandalm/1", "Check", "a", "b", None, subset="m1_m2", model_a="m1", model_b="m2"),
    ],
    "judgebench": [pair("judgebench/x-1", "1+1", "3", "2", "B", subset="math", model_a="m", model_b="m")],
    "rm_bench": [
        pair(f"rm_bench/safety-refuse/7/{row}{column}", "q", f"c{row}", f"r{column}", "A",
             subset=f"safety-refuse/{level}", group="rm_bench/safety-refuse/7")
        for row, column, level in [
            (0, 0, "normal"), (0, 1, "hard"), (0, 2, "hard"), (1, 0, "easy"), (1, 1, "normal"), (1, 2, "hard"),
            (2, 0, "easy"), (2, 1, "easy"), (2, 2, "normal"),
        ]
    ],
    "evalbiasbench": [pair("evalbiasbench/0", "q", "a", "b", "A", subset="length bias")],
    "finegrained_rlhf": [
        pair(f"finegrained_rlhf/0/{one}{two}", "q?\n\nPassages:\n\nTitle\nText.\n\nOther", f"p{one}", f"p{two}", label,
             reference="g", group="finegrained_rlhf/0")
        for one, two, label in [
            (1, 2, "tie"), (1, 3, "A"), (1, 4, "B"), (2, 3, "A"), (2, 4, "tie"), (3, 4, "B"),
        ]
    ],
    "oasst": [
        pair("oasst/worse/best", "Name a colour", "seven", "red", "B", subset="first turn", group="oasst/root"),
        pair("oasst/worse/middle", "Name a colour", "seven", "a colour", "B", subset="first turn", group="oasst/root",
             model_b="m7"),
        pair("oasst/best/middle", "Name a colour", "red", "a colour", "A", subset="first turn", group="oasst/root",
             model_b="m7"),
        pair("oasst/c/d", "User: Name a colour\n\nAssistant: red\n\nUser: Another", "blue", "teal", "B",
             subset="later turns", group="oasst/again"),
    ],
    "rewardbench": [pair("rewardbench/hep-go/30", "q", "c", "r", "A", subset="hep-go", model_a="m", model_b="n")],
    "mt_bench": [
        pair("mt_bench/0", "q1", "a1", "b1", "B", subset="turn 1", group="mt_bench/81", model_a="m",
             model_b="n"),
        pair("mt_bench/1", "[Turn 1]\nq1\n\n[Turn 2]\nq2", "[Turn 1]\na1\n\n[Turn 2]\na2",
             "[Turn 1]\nb1\n\n[Turn 2]\nb2", "tie", subset="turn 2", group="mt_bench/81", model_a="m", model_b="n"),
    ],
    "autoj": [pair("autoj/0", "q", "a", "b", "tie", subset="brainstorming")],
    "judgelm": [pair("judgelm/5", "q", "a", "b", "B", model_a="m", model_b="n")],
    "judgelm_reference": [
        pair("judgelm_reference/5", "q", "a", "b", "A", reference="g", model_a="m", model_b="n")
    ],
    "llmeval": [pair("llmeval/0", "q", "a", "b", "A", subset="Math_Solving")],
    "alignbench": [pair("alignbench/0", "q", "a", "b", "B", reference="g", subset="数学计算")],
}  # fmt: skip

EXPECTED_SCORES: dict[str, list[ScoredResponse]] = {
    "oasst": [
        ScoredResponse("oasst/worse", "Name a colour", "seven", -2.0, None, None, "oasst/root", subset="first turn"),
        ScoredResponse("oasst/best", "Name a colour", "red", 0.0, None, None, "oasst/root", subset="first turn"),
        ScoredResponse("oasst/middle", "Name a colour", "a colour", -1.0, None, None, "oasst/root", "m7",
                       subset="first turn"),
        *(ScoredResponse(f"oasst/{name}", "User: Name a colour\n\nAssistant: red\n\nUser: Another", text, score, None,
                         None, "oasst/again", subset="later turns")
          for name, text, score in [("c", "blue", -1.0), ("d", "teal", 0.0)]),
    ],
    "alignbench": [
        ScoredResponse("alignbench/3", "q", "r", 4.0, 1.0, 5.0, "q", "m", reference="g", subset="基本能力")
    ],
    "roscoe": [
        ScoredResponse("roscoe/gsm8k/1/Fluency", "Question: 1+1?", "Step 1 - 2", 4.5, 1.0, 5.0, "Question: 1+1?",
                       criterion="Is it fluent?", subset="gsm8k/Fluency")
    ],
    "newsroom": [
        ScoredResponse("newsroom/1/Fluency", "Summarise this article.\n\nLong text.", "short .", 11 / 3, 1.0, 5.0,
                       "Summarise this article.\n\nLong text.", "system 1", "Is it fluent?", subset="Fluency")
    ],
}  # fmt: skip


def test_every_benchmark_is_covered() -> None:
    assert set(EXPECTED) == set(ROWS) == set(PAIRS)
    assert set(EXPECTED_SCORES) == set(SCORED_ROWS) == set(SCORED)


@pytest.mark.parametrize("kind", PAIRS)
def test_published_rows_become_pairs(tmp_path: Path, kind: str) -> None:
    assert load(tmp_path, kind) == EXPECTED[kind]
    file = tmp_path / ROWS[kind][0]
    beside = [file.with_name(name) for name in BESIDE.get(kind, {})]
    assert benchmark_files(kind, config(kind, tmp_path)) == [file, *beside], "what is read is in the key"


@pytest.mark.parametrize("kind", SCORED)
def test_published_rows_become_scored_responses(tmp_path: Path, kind: str) -> None:
    assert load_single(tmp_path, kind) == EXPECTED_SCORES[kind]


@pytest.mark.parametrize("kind", PAIRS)
def test_a_file_is_as_good_as_its_folder(tmp_path: Path, kind: str) -> None:
    found = load(tmp_path, kind)
    assert load_benchmark(kind, config(kind, tmp_path / ROWS[kind][0]), []) == found


@pytest.mark.parametrize("kind", [kind for kind in PAIRS if kind != "evalbiasbench" and kind not in BESIDE])
def test_the_hub_gives_the_same_rows(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def hub(*arguments: Any) -> Any:
        asked.append(arguments)
        return enumerate(rows_of(kind), start=1)

    monkeypatch.setattr("judgekit.evaluation.benchmarks.base.read_hub", hub)
    found = load_benchmark(kind, config(kind, hub_id="a/b", revision="0123abc", split="eval"), [])
    assert found is not None
    assert asked == [("a/b", "0123abc", "eval", PAIRS[kind].fields)]
    assert [one.label for one in found] == [one.label for one in EXPECTED[kind]]


def test_a_real_hub_folder_is_read_through_datasets(tmp_path: Path) -> None:
    write_published(tmp_path, "rewardbench", rows_of("rewardbench"))
    hub_id = str(tmp_path / "data")
    found = load_benchmark("rewardbench", config("rewardbench", hub_id=hub_id, revision="0123abc", split="train"), [])
    assert found == EXPECTED["rewardbench"]


def test_own_pairs_from_the_hub_and_with_other_column_names(tmp_path: Path) -> None:
    rows = [{"q": "one", "response_a": "a", "response_b": "b", "gold": "tie"}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    columns = {"instruction": "q", "label": "gold"}
    local = load_benchmark("mine", config("pairs", tmp_path / "train.jsonl", columns=columns), [])
    hub = load_benchmark(
        "mine", config("pairs", hub_id=str(tmp_path), revision="0123abc", split="train", columns=columns), []
    )
    assert local is not None and hub == local
    assert [(one.instruction, one.label) for one in local] == [("one", "tie")]


def test_a_hub_benchmark_without_a_revision_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"benchmark\.x\.revision"):
        load_benchmark("x", config("autoj", hub_id="a/b"), [])


FAULTS = [
    ("pandalm", 0, {"annotator2": "1"}, "annotator2", "holds '1'; it must be 0, 1 or 2"),
    ("pandalm", 1, {"annotator3": True}, "annotator3", "holds True"),
    ("pandalm", 1, {"instruction": " "}, "instruction", "is blank, and so is the input"),
    ("judgebench", 0, {"source": "wikipedia"}, "source", "begins with none of mmlu-pro"),
    ("judgebench", 0, {"label": "A=B"}, "label", "it must be 'A>B' or 'B>A'"),
    ("rm_bench", 0, {"chosen": ["one"]}, "chosen", "must be a list of 3"),
    ("rm_bench", 0, {"rejected": ["a", "b", None]}, "rejected", "must hold texts only"),
    ("evalbiasbench", 0, {"label": 3}, "label", "it must be 1 or 2"),
    ("finegrained_rlhf", 0, {"preference": [0, 1, 2]}, "preference", "must be a list of 6"),
    ("finegrained_rlhf", 0, {"preference": [0, 1, 2, 1, 0, 3]}, "preference", "must hold 0, 1 and 2 only"),
    ("finegrained_rlhf", 0, {"passages": ["text"]}, "passages", "must be lists of texts"),
    ("oasst", 0, {"prompt": "hello"}, "prompt", "every message needs message_id"),
    ("oasst", 0, {"prompt": reply("x", "y", True)}, "prompt", "every message needs message_id"),
    ("rewardbench", 0, {"chosen": 5}, "chosen", "holds 5 .int. where text belongs"),
    ("mt_bench", 1, {"winner": "both"}, "winner", "it must be 'model_a', 'model_b'"),
    ("mt_bench", 1, {"conversation_b": [{"role": "user", "content": "q"}]}, "conversation_b", "hold 2 questions"),
    ("mt_bench", 0, {"conversation_a": ["q"]}, "conversation_a", 'must hold {"role"'),
    ("autoj", 0, {"label": 3}, "label", "it must be 0, 1 or 2"),
    ("judgelm", 0, {"question_id": 6}, "question_id", "has no row of question 6 in the same place"),
    ("judgelm_reference", 0, {"question_id": 6}, "question_id", "gpt4_with_reference.jsonl has no row of question 6"),
    ("llmeval", 0, {"label": -1}, "label", "it must be 0, 1 or 2"),
    ("alignbench", 0, {"question": ""}, "question", "is blank"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "place", "change", "field", "message"), FAULTS)
def test_faults_name_file_line_and_field(
    tmp_path: Path, kind: str, place: int, change: dict[str, Any], field: str, message: str
) -> None:
    rows = rows_of(kind)
    rows[place] |= change
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path, kind, rows)
    assert (caught.value.file, caught.value.line, caught.value.field) == (
        str(tmp_path / ROWS[kind][0]), place + 1, field,
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "field"), [(kind, row) for kind in PAIRS for row in rows_of(kind)[0]])
def test_missing_fields_are_named_with_a_remedy(tmp_path: Path, kind: str, field: str) -> None:
    optional = {"gold", "response_model", "chosen_model", "rejected_model", "reference", "answer1_model_id",
                "answer2_model_id"}  # fmt: skip
    unread = {"message_tree_id", "judge", "human_score_1", "human_score_2", "answer1_metadata", "answer2_metadata"}
    unread |= {"score"} if kind in BESIDE else set()
    rows = rows_of(kind)
    del rows[0][field]
    if field in optional | unread:
        assert load(tmp_path, kind, rows)
        return
    with pytest.raises(DataError, match=f"missing; .* Is this a {kind} file") as caught:
        load(tmp_path, kind, rows)
    assert caught.value.field == field


@pytest.mark.parametrize("kind", ["alignbench", "roscoe", "newsroom"])
def test_faults_of_scored_rows_are_named(tmp_path: Path, kind: str) -> None:
    rows = rows_of(kind, True)
    if kind == "alignbench":
        rows[0]["human_score"] = float("nan")
    else:
        rows[0]["annotations"]["Fluency"] = {"individual_human_scores": ["good"]}
    with pytest.raises(DataError, match=r"line 1, field '(human_score|annotations)'"):
        load_single(tmp_path, kind, rows)
    if kind != "alignbench":
        rows[0]["instance"] = "no marks"
        with pytest.raises(DataError, match="field 'instance': must hold"):
            load_single(tmp_path, kind, rows)


NOT_JUDGE_BENCH = [
    "[]",
    '{"annotations": {}, "instances": []}',
    '{"annotations": [{"category": "graded"}], "instances": []}',
]


@pytest.mark.parametrize("content", NOT_JUDGE_BENCH)
def test_files_that_are_not_judge_bench_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "newsroom.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"newsroom\.json"):
        load_scored("newsroom", config("newsroom", tmp_path))


@pytest.mark.parametrize("kind", PAIRS)
def test_folders_without_the_benchmark_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match="holds no .*give the benchmark's folder"):
        load_benchmark(kind, config(kind, tmp_path), [])
    with pytest.raises(DataError, match=rf"does not exist; correct benchmark\.{kind}\.path"):
        benchmark_files(kind, config(kind, tmp_path / "absent"))


def test_two_copies_of_a_benchmark_are_noticed(tmp_path: Path) -> None:
    for copy in ("one", "two"):
        write_published(tmp_path / copy, "judgebench", rows_of("judgebench"))
    with pytest.raises(DataError, match="'judgebench/x-1' is there twice"):
        load_benchmark("judgebench", config("judgebench", tmp_path), [])


@pytest.mark.parametrize(
    ("text", "label"),
    [
        # parse_score of the release on the text as it is, then its filter of [-1, -1] (eval_model_judgement.py)
        ("8 6\nbecause", "A"), ("6.5,8\n", "B"), ("7 7", "tie"), ("1e1 9\r\nwhy", "A"), ("nan 3", "tie"),
        ("6.5, 8\n", None), (" 8 7", None), ("8 7 ", None), ("\n8 7", None), ("8\t7", None), ("8 6 5", None),
        ("-1 -1", None), ("-1 8", None), ("error", None), ("", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", BESIDE)
def test_judgelms_labels_are_those_of_the_releases_filter(
    tmp_path: Path, kind: str, text: str, label: str | None
) -> None:
    (name, *_) = BESIDE[kind]
    write_published(tmp_path, kind, rows_of(kind))
    (tmp_path / name).write_text(json.dumps(review(text)), encoding="utf-8")
    found = load_benchmark(kind, config(kind, tmp_path), [])
    assert found is not None and [one.label for one in found] == [label]


@pytest.mark.parametrize("kind", BESIDE)
def test_judgelms_files_belong_together(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_published(tmp_path, kind, rows_of(kind))
    asked: list[Any] = []

    def fetch(hub_id: str, **values: Any) -> str:
        asked.append((hub_id, values["repo_type"], values["revision"], set(values["allow_patterns"])))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    hub = config(kind, hub_id="BAAI/JudgeLM-100K", revision="618a71c")
    assert load_benchmark(kind, hub, []) == EXPECTED[kind], "no split holds pairs and labels: the files are fetched"
    names = {f"*{name}" for name in ("judgelm_val_5k.jsonl", *BESIDE[kind])}
    assert asked == [("BAAI/JudgeLM-100K", "dataset", "618a71c", names)]
    assert load_benchmark(kind, config(kind, hub_id=str(tmp_path), revision="618a71c"), []) == EXPECTED[kind]

    for name in BESIDE[kind]:
        whole = (tmp_path / name).read_text(encoding="utf-8")
        (tmp_path / name).unlink()
        with pytest.raises(DataError, match=f"lacks {name} beside it"):
            load_benchmark(kind, config(kind, file), [])
        (tmp_path / name).write_text(whole, encoding="utf-8")


def test_an_unreachable_hub_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(hub_id: str, **values: Any) -> str:
        raise OSError("no network\nat all")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    with pytest.raises(DataError, match="revision 618a71c cannot be fetched: no network. Check the id") as caught:
        load_benchmark("judgelm", config("judgelm", hub_id="a/b", revision="618a71c"), [])
    assert caught.value.file == "a/b"


def test_roscoes_files_lie_in_one_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As released: four data sets, each with judgments of the whole (graded) and of single steps (yes or no)."""
    steps = {"annotations": [JUDGE_BENCH["annotations"][1]], "instances": [{"id": 1, "instance": "JUDGE: Step 1"}]}
    for name in ("cosmos", "drop", "esnli", "gsm8k"):
        whole = JUDGE_BENCH | {"instances": rows_of("roscoe", True)}
        (tmp_path / f"roscoe-{name}-overall.json").write_text(json.dumps(whole), encoding="utf-8")
        (tmp_path / f"roscoe-{name}-stepwise.json").write_text(json.dumps(steps), encoding="utf-8")
    found = load_scored("roscoe", config("roscoe", tmp_path))
    assert found is not None
    assert [(row.id, row.subset) for row in found] == [
        ("roscoe/cosmos/1/Fluency", "cosmos/Fluency"), ("roscoe/drop/1/Fluency", "drop/Fluency"),
        ("roscoe/esnli/1/Fluency", "esnli/Fluency"), ("roscoe/gsm8k/1/Fluency", "gsm8k/Fluency"),
    ]  # fmt: skip
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4 and all("-stepwise.json: left out, it has no graded annotations" in one for one in said)
    with pytest.raises(DataError, match="holds nothing to be judged"):
        load_scored("roscoe", config("roscoe", tmp_path / "roscoe-drop-stepwise.json"))


def test_kinds_say_what_they_hold(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"benchmark\.x\.kind.*roscoe has no pairs"):
        load_benchmark("x", config("roscoe", tmp_path), [])
    with pytest.raises(ConfigError, match=r"autoj has no scored responses.*alignbench, newsroom, oasst, roscoe"):
        load_scored("x", config("autoj", tmp_path))
    assert load_scored("x", config("roscoe")) is None
    assert benchmark_files("x", config("roscoe")) == benchmark_files("x", config("starter")) == []
