"""The whole recipe on a tiny model with a scripted teacher: counts equal a table worked out by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from judgekit.data.constraints import constraint_instructions
from judgekit.data.splits import split_instructions
from judgekit.errors import ConfigError, DataError, StageError
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.planning import plan
from judgekit.prompts.judgelm import JudgeLM, JudgeLMPrompt
from judgekit.recipes.judgelm.config import JudgeLMConfig
from judgekit.recipes.judgelm.recipe import review
from judgekit.recipes.judgelm.stages import Demonstrations, ReleasedReviews
from judgekit.rows import Demonstration, Judgment, ResponsePair, read_rows
from judgekit.runner import run_recipe
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.base import Request
from judgekit.schema.candidates import CandidateConfig
from judgekit.schema.composition import Composer
from judgekit.schema.config import RunConfig
from judgekit.schema.data import DataConfig, SourceConfig
from judgekit.schema.logger import LoggerConfig
from judgekit.schema.models import ModelConfig
from judgekit.schema.optim import OptimConfig
from judgekit.schema.teachers import TeacherConfig
from judgekit.schema.trainer import TrainerConfig
from judgekit.schema.warm_start import WarmStartConfig
from judgekit.stages.lab import Lab
from judgekit.stages.stage import Made, file_inputs
from judgekit.store import Artifact
from judgekit.tracking.recording import recorded
from judgekit.weights import Weights
from tests.helpers import ScriptedSampler
from tests.training.tiny import make_model

SEED = 5
SIZES = {"held_out": 2, "validation": 0, "warm": 2, "d1": 4, "d2": 0}
STEP = OptimConfig(lr=1e-3, max_steps=1, epochs=1, batch_size=2, checkpoint_every=1)
SFT = replace(STEP, epochs=3, max_steps=None, batch_size=2)
TEACHER = TeacherConfig(max_failed=0.5, tokens=60)
PROMPT = JudgeLMPrompt(style="brief", score_lines=("9 4", "4 9"))

# What the teacher says, by place in its split.
REFERENCES = {"d1": ["Ref 0.", "", "Ref 2.", "Ref 3."], "held_out": ["Ref 4.", "I cannot answer that."]}
PLAIN = {
    "d1": ["8 7\nAssistant 1 is better.", "8, 7\nThe first assistant.", "garbage", "9.5 9\nGood."],
    "held_out": ["3 9\nAssistant 2.", "5 5"],
}
REFERENCED = {
    "d1": ["2 8\nAssistant 2 is right.", "?", "7 7\nAlike.", "11 2\nAssistant 1."],
    "held_out": ["8\nOne.", "?"],
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model", max_position_embeddings=2048)


def make_config(tiny: Path, store: Path, **recipe: Any) -> RunConfig:
    start = WarmStartConfig(enabled=True, examples=2, plan_every=0, optim=STEP)
    settings = {"references": "teacher", "reference_tokens": 32, "warm_start": start, "sft": SFT}
    return RunConfig(
        name="tiny",
        seed=SEED,
        store=str(store),
        model=ModelConfig(name="tiny", path=str(tiny), dtype="float32", max_length=2048),
        data=DataConfig(
            sources={"constraints": SourceConfig(kind="constraints", pairs="written", count=8)},
            first_round=4,
            second_round=0,
            validation=0,
            held_out=2,
        ),
        prompt=PROMPT,
        recipe=JudgeLMConfig(**settings | recipe),
        teacher=TEACHER,
        sampler=HfConfig(judge_tokens=64),
        trainer=TrainerConfig(lora_rank=2, lora_alpha=4, max_tokens=2048, accelerator="cpu"),
        benchmark={"starter": BenchmarkConfig(kind="starter")},
        logger=LoggerConfig(table_rows=4),
    )


class Script:
    """The teacher says what the tables say; every judge names the first position.

    :param warm: worked reviews; without any the seed itself stands in for a teacher
    :param fail_at: stop like a killed process once so many replies were asked for
    """

    def __init__(self, tiny: Path, warm: int = 2, fail_at: int | None = None) -> None:
        rows = constraint_instructions(8, SEED)
        splits = split_instructions({"constraints": rows}, SIZES | {"warm": warm}, SEED)
        self.places = {row.id: (name, at) for name in ("d1", "held_out") for at, row in enumerate(splits[name])}
        self.tokenizer = AutoTokenizer.from_pretrained(tiny)
        self.teacher = "warm" if warm else "seed"
        self.fail_at, self.asked = fail_at, list[tuple[str, str, str]]()

    def __call__(self, weights: Weights) -> ScriptedSampler:
        judge = weights.adapter.parent.parent.name if weights.adapter is not None else "seed"
        return ScriptedSampler(lambda request, sample: self.answer(judge, request), batch_size=2)

    def answer(self, judge: str, request: Request) -> str:
        text = self.tokenizer.decode(request.prompt_ids)
        kind = "reference" if "[Reference Answer]" in text else "plain"
        name, _, order = request.id.partition("/")
        self.asked.append((judge, request.id, "answer" if not order else kind))
        if self.fail_at is not None and len(self.asked) > self.fail_at:
            raise KeyboardInterrupt
        split, place = self.places[name.partition("#")[0]]
        if not order:
            return REFERENCES[split][place]
        if request.params.max_new_tokens == TEACHER.tokens:
            assert judge == self.teacher, "what the warm start made stands in for a teacher"
            return (PLAIN if kind == "plain" else REFERENCED)[split][place]
        return "8 7\nAssistant 1 is better."


def stages(run_dir: Path) -> dict[str, dict[str, Any]]:
    manifest = json.loads((run_dir / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    return {stage["name"]: stage for stage in manifest["stages"]}


Run = tuple[RunConfig, Path, Script, dict[str, Any]]


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    config, script = make_config(tiny, folder / "store"), Script(tiny)
    return config, folder / "out", script, run_recipe(config, folder / "out", script)


def test_counts_equal_the_table_worked_out_by_hand(run: Run) -> None:
    found = stages(run[1])
    assert found["tasks"]["rows"] == {"asked": 6, "usable": 4, "d1": 4, "validation": 0, "held_out": 2}
    assert found["tasks"]["dropped"] == {"teacher: another format: missing": 1, "teacher: refused": 1}
    # plain: garbage, and 5 5 without reasons; with reference (four rows have one): 11 2, and a single score
    assert found["reviews/plain"]["rows"] == {"asked": 6, "usable": 4}
    assert found["reviews/plain"]["dropped"] == {
        "teacher: another format: not scores": 1, "teacher: another format: no reasons": 1,
    }  # fmt: skip
    assert found["reviews/reference"]["rows"] == {"asked": 4, "usable": 2}
    assert found["reviews/reference"]["dropped"] == {
        "teacher: another format: out of range": 1, "teacher: another format: wrong number of scores": 1,
    }  # fmt: skip
    # of the review with reference of the third row nothing is left, because it has none without
    assert found["reviewed"]["rows"] == {"validation": 0, "held_out": 3, "reviews_plain": 3, "reviews_reference": 1}
    assert found["reviewed"]["dropped"] == {"no usable review without reference": 1}
    assert found["train/sft"]["rows"] == {"rows": 9, "prompts": 6, "steps": 6, "chosen_step": 6}


def test_every_epoch_shows_every_row_once_with_its_own_draws(run: Run) -> None:
    found = stages(run[1])
    rows = read_rows(Path(found["demonstrations/epochs"]["path"]) / "rows.jsonl", Demonstration)
    assert [row.epoch for row in rows] == [0] * 3 + [1] * 3 + [2] * 3
    pairs = {row.id: row for row in read_rows(Path(found["reviewed"]["path"]) / "d1.jsonl", ResponsePair)}
    swapped = shown = 0
    for row in rows:
        pair, text = pairs[row.id.rpartition("/")[0]], row.prompt[0]["content"]
        assert JudgeLM(PROMPT).read(row.target, False).invalid is None
        with_reference, is_swapped = (
            "[Reference Answer]" in text,
            text.index(pair.response_b + "\n\n[The End") < (text.index(pair.response_a + "\n\n[The End")),
        )
        split, place = run[2].places[pair.id]
        said = (REFERENCED if with_reference else PLAIN)[split][place]
        line, told = said.partition("\n")[0], row.target.partition("\n")[0]
        numbers = re.findall(r"[\d.]+", line)
        assert re.findall(r"[\d.]+", told) == (numbers[::-1] if is_swapped else numbers)
        swapped += is_swapped
        shown += with_reference
    assert found["demonstrations/epochs"]["rows"] == {"demonstrations": 9, "swapped": swapped, "reference_shown": shown}


def test_judges_are_measured_without_and_with_the_reference(run: Run) -> None:
    numbers, found = run[3], stages(run[1])
    pairs = read_rows(Path(found["benchmark/starter"]["path"]) / "pairs.jsonl", ResponsePair)
    assert [(pair.subset, pair.reference) for pair in pairs] == [
        ("plain", None),
        ("reference", "Ref 4."),
        ("plain", None),
    ]
    assert numbers["eval/sft/starter/bias_first"] == numbers["eval/sft/starter/delta_bias"] == 1.0
    assert numbers["eval/sft/starter/consistency"] == numbers["eval/sft/starter/bias_second"] == 0.0
    verdicts = [json.loads(line) for line in (run[1] / "verdicts" / "sft.starter.jsonl").read_text().splitlines()]
    assert {(row["order"], row["score_a"], row["score_b"]) for row in verdicts} == {("ab", 8.0, 7.0), ("ba", 7.0, 8.0)}
    manifest = json.loads((run[1] / "manifest.json").read_text())
    assert manifest["judges"] == ["seed", "warm", "sft"]


def test_the_same_run_again_does_nothing_and_planning_names_every_stage(run: Run) -> None:
    config, folder, script, numbers = run
    asked = len(script.asked)
    assert list(stages(folder)) == [stage.name for stage in plan(config)]
    assert run_recipe(config, folder, script) == numbers
    assert len(script.asked) == asked and {stage["status"] for stage in stages(folder).values()} == {"reused"}


def in_lab(config: RunConfig, folder: Path, script: Script, work: Callable[[Lab], Made[Any]]) -> Artifact:
    """Some stages of the recipe alone."""
    with recorded(config, folder) as record:
        return work(Lab(config, record, script)).done


def reviewed(lab: Lab) -> Made[Any]:
    return review(lab, lab.seed)[0]


def test_interrupted_reviews_go_on_to_the_same_rows(run: Run, tiny: Path, tmp_path: Path) -> None:
    config = replace(run[0], recipe=replace(run[0].recipe, warm_start=WarmStartConfig()))
    stores = [replace(config, store=str(tmp_path / name)) for name in ("whole", "broken")]
    whole = in_lab(stores[0], tmp_path / "one", Script(tiny, warm=0), reviewed)
    first = Script(tiny, warm=0, fail_at=6 + 6 + 3)  # in the middle of the reviews with reference
    with pytest.raises(KeyboardInterrupt):
        in_lab(stores[1], tmp_path / "two", first, reviewed)
    second = Script(tiny, warm=0)
    found = in_lab(stores[1], tmp_path / "two", second, reviewed)
    assert {kind for _, _, kind in second.asked} == {"reference"} and len(second.asked) == 4 - 2
    files = [path.name for path in whole.path.glob("*.jsonl")]
    assert len(files) == 5 and all(whole.file(name).read_bytes() == found.file(name).read_bytes() for name in files)


def test_swap_and_reference_rates_ask_nobody_anew(run: Run, tiny: Path, tmp_path: Path) -> None:
    config = replace(run[0], recipe=replace(run[0].recipe, swap_rate=1.0, reference_rate=0.0))
    new = [stage.name for stage in plan(config) if not stage.stored]
    assert new == ["demonstrations/epochs", "train/sft", "verdicts/sft/starter"]
    script = Script(tiny)
    found = in_lab(config, tmp_path / "out", script, lambda lab: lab.make(Demonstrations(reviewed=reviewed(lab))))
    assert found.info.rows == {"demonstrations": 9, "swapped": 9, "reference_shown": 0} and not script.asked


def test_a_prompt_without_reference_trains_on_reviews_written_without(run: Run, tiny: Path, tmp_path: Path) -> None:
    config = replace(run[0], recipe=replace(run[0].recipe, reference_rate=1.0))
    unseen = replace(PROMPT, reference=False)
    stage = lambda lab: lab.make(Demonstrations(reviewed=reviewed(lab), prompt=unseen))  # noqa: E731
    found = in_lab(config, tmp_path / "out", Script(tiny), stage)
    assert found.info.rows["reference_shown"] == 0
    lines = {row.target.partition("\n")[0] for row in read_rows(found.file("rows.jsonl"), Demonstration)}
    assert lines <= {"8 7", "7 8", "8, 7", "7, 8", "9.5 9", "9 9.5"}, "none of REFERENCED"


class Chooser(Script):
    """A teacher whose score lines are chosen, and candidates that answer."""

    def answer(self, judge: str, request: Request) -> str:
        if request.params.choices:
            assert request.params.choices == PROMPT.score_lines
            return PROMPT.score_lines[len(request.id) % 2]
        begun = re.search(r"assistant\n\d \d\n\Z", self.tokenizer.decode(request.prompt_ids))
        return "Assistant 1 is fine." if begun else f"Answer at {request.params.temperature}."


def test_candidates_answer_and_scores_are_chosen_before_reasons_are_written(
    run: Run, tiny: Path, tmp_path: Path
) -> None:
    candidates = {"cold": CandidateConfig(temperature=0.0), "warm": CandidateConfig(temperature=0.5)}
    recipe = replace(run[0].recipe, candidates=candidates, references="none", warm_start=WarmStartConfig())
    teacher = TeacherConfig(verdict="constrained")
    config = replace(run[0], recipe=recipe, teacher=teacher, store=str(tmp_path / "store"))
    found = in_lab(config, tmp_path / "out", Chooser(tiny), reviewed)
    by_name = stages(tmp_path / "out")
    expected = {"asked": 6, "usable": 6}
    assert by_name["score_lines/plain"]["rows"] == by_name["reasoned_reviews/plain"]["rows"] == expected
    assert "reasoned_reviews/reference" not in by_name
    rows = read_rows(Path(by_name["reasoned_reviews/plain"]["path"]) / "judgments.jsonl", Judgment)
    assert {row.text for row in rows} <= {f"{line}\nAssistant 1 is fine." for line in PROMPT.score_lines}
    pairs, labels = read_rows(found.file("held_out.jsonl"), ResponsePair), {row.id: row.verdict for row in rows}
    assert [pair.label for pair in pairs] == [labels[pair.id] for pair in pairs], "the teacher's: there is no other"
    assert {frozenset((pair.model_a, pair.model_b)) for pair in pairs} == {frozenset(candidates)}
    assert found.info.rows == {"validation": 0, "held_out": 2, "reviews_plain": 4, "reviews_reference": 0}


def released(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "question_id": number, "question_body": f"Question {number}?", "answer1_body": "One.", "answer2_body": "Two.",
        "answer1_model_id": "alpaca", "answer2_model_id": "vicuna", "score": [8, 7], "text": "8 7\nAssistant 1.",
        "text_w_reference": "3 9\nAssistant 2.", "score_w_reference": [3, 9], "reference": {"text": "Two."},
    } | changes  # fmt: skip


def write_released(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_released_rows_take_the_place_of_data_and_teacher(run: Run, tiny: Path, tmp_path: Path) -> None:
    path = write_released(
        tmp_path / "train.jsonl", released(1), released(2, text="error"), released(3, text_w_reference="error"),
        released(4, text="8\nno"), released(5, reference=None), released(6, reference={"text": ""}),
    )  # fmt: skip
    config = replace(run[0], recipe=replace(run[0].recipe, reviews=str(path)), store=str(tmp_path / "store"))
    names = [stage.name for stage in plan(config)]
    assert names[0] == "released_reviews" and names[-3:] == [
        "demonstrations/epochs",
        "train/sft",
        "verdicts/sft/starter",
    ]

    def read(lab: Lab) -> Made[Any]:
        (known,) = file_inputs(str(path))
        return lab.make(ReleasedReviews(digest=known, path=str(path)))

    found = in_lab(config, tmp_path / "out", Script(tiny), read)
    assert found.info.rows == {"reviews_plain": 4, "reviews_reference": 1}
    assert found.info.dropped == {
        "review: error": 1, "review: wrong number of scores": 1, "review with reference: error": 1,
    }  # fmt: skip
    pairs = read_rows(found.file("d1.jsonl"), ResponsePair)
    assert [(pair.id, pair.reference, pair.label) for pair in pairs] == [
        ("judgelm/1", "Two.", "A"), ("judgelm/3", "Two.", "A"), ("judgelm/5", None, "A"), ("judgelm/6", None, "A"),
    ]  # fmt: skip
    write_released(path, released(1), released(1))
    with pytest.raises(DataError, match=r"line 2.*judgelm/1.*twice"):
        in_lab(config, tmp_path / "twice", Script(tiny), read)
    write_released(path, released(1, text="error"))
    with pytest.raises(StageError, match="nothing to train on"):
        in_lab(config, tmp_path / "none", Script(tiny), read)


def test_mistakes_are_found_before_anything_runs() -> None:
    composer = Composer()
    for overrides, keys in (
        (["prompt=pairwise"], ["prompt.name", "teacher.verdict"]),
        (["prompt.score_lines=['9 4','8 7']"], ["prompt.score_lines"]),
        (
            ["prompt.score_lines=[]", "prompt.request='Rate {count}.'", "prompt.low=10", "data.first_round=1000",
             "+recipe.candidates={one:{temperature:0.5}}", "data.sources.constraints.pairs=none"],
            ["teacher.verdict", "prompt.request", "prompt.high", "data", "recipe.candidates"],
        ),
    ):  # fmt: skip
        with pytest.raises(ConfigError) as error:
            composer.job(["experiment=judgelm_demo", *overrides])
        assert sorted(problem.key for problem in error.value.problems) == sorted(keys)
