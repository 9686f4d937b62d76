"""The whole recipe on a tiny model with a scripted teacher: counts equal a table worked out by hand."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judgekit.errors import ConfigError, StageError
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.losses.sft import SftLoss
from judgekit.planning import plan
from judgekit.prompts.pandalm import PandaLM, PandaLMPrompt, Parts
from judgekit.recipes.pandalm.config import PandaLMConfig
from judgekit.recipes.pandalm.stages import TeacherJudgments
from judgekit.rows import ORDERS, Demonstration, Judgment, Response, ResponsePair, Verdict, read_rows
from judgekit.runner import run_recipe
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.base import Generation, Request
from judgekit.schema.bias import BiasConfig
from judgekit.schema.candidates import CandidateConfig, TuningConfig
from judgekit.schema.composition import Composer
from judgekit.schema.config import RunConfig
from judgekit.schema.data import DataConfig, SourceConfig
from judgekit.schema.logger import LoggerConfig
from judgekit.schema.models import ModelConfig
from judgekit.schema.optim import OptimConfig
from judgekit.schema.teachers import TeacherConfig
from judgekit.schema.trainer import TrainerConfig
from judgekit.schema.warm_start import WarmStartConfig
from judgekit.stages.candidates import CandidateAnswers
from judgekit.stages.lab import Lab
from judgekit.stages.stage import Made
from judgekit.stages.teaching import find_teacher
from judgekit.tracking.recording import recorded
from judgekit.weights import Weights
from tests.helpers import Given, ScriptedSampler
from tests.training.tiny import make_model

STEP = OptimConfig(lr=1e-3, max_steps=1, epochs=1, batch_size=2, checkpoint_every=1)
ASKED = PandaLMPrompt(style="teacher_brief")

# What the teacher says of the pairs, in order: response called A wins, B wins, tie, nothing, or one of LINES.
SAID = ["AA", "AB", "tT", "At", "B-", "BB", "BA", ".g", "tB", "AA", "BB", "AA"]
NAMES: dict[str, Verdict] = {"A": "A", "B": "B", "t": "tie"}
LINES = {"T": "Tie ", ".": "1.", "g": "garbage"}
"""Verdicts as a teacher writes them. Its verdict comes last, where a blank behind it says nothing, so that the first is
a tie; on a judge's first line it would be no verdict, as the release reads it. The others are none in any place."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model", max_position_embeddings=2048)


def make_config(tiny: Path, store: Path, **recipe: Any) -> RunConfig:
    settings: dict[str, Any] = {
        "candidates": {"one": CandidateConfig(tuned=False), "two": CandidateConfig(temperature=0.0),
                       "three": CandidateConfig(tuned=False, chat=False)},
        "tuning": TuningConfig(enabled=True, examples=2, optim=STEP),
        "warm_start": WarmStartConfig(enabled=True, examples=3, optim=STEP),
        "sft": STEP,
        "validate": False,
    }  # fmt: skip
    return RunConfig(
        name="tiny",
        seed=5,
        store=str(store),
        model=ModelConfig(name="tiny", path=str(tiny), dtype="float32", max_length=2048),
        data=DataConfig(
            sources={"constraints": SourceConfig(kind="constraints", pairs="written", count=9)},
            first_round=4, second_round=0, validation=0, held_out=2, response_tokens=32,
        ),
        prompt=PandaLMPrompt(),
        recipe=PandaLMConfig(**settings | recipe),
        teacher=TeacherConfig(prompt=ASKED, max_failed=0.2),
        loss=SftLoss(),
        bias=BiasConfig(drop_conflicting=True),
        sampler=HfConfig(judge_tokens=64, batch_size=3),
        trainer=TrainerConfig(lora_rank=2, lora_alpha=4, max_tokens=2048, accelerator="cpu"),
        benchmark={"starter": BenchmarkConfig(kind="starter")},
        logger=LoggerConfig(table_rows=4),
    )  # fmt: skip


class Script:
    """Candidates answer with their names, the teacher says what SAID says, the judge sees no difference.

    :param fail_at: stop like a killed process once the teacher was asked so often
    """

    def __init__(self, fail_at: int | None = None, said: list[str] = SAID) -> None:
        self.fail_at, self.said, self.places = fail_at, said, dict[str, int]()
        self.asked = list[tuple[str, str]]()

    def __call__(self, weights: Weights) -> ScriptedSampler:
        name = weights.adapter.parent.parent.name if weights.adapter is not None else "seed"
        return ScriptedSampler(lambda request, sample: self.answer(name, request), batch_size=3)

    def answer(self, model: str, request: Request) -> str:
        self.asked.append((model, request.id))
        if "#" in request.id:
            if self.fail_at is not None and sum("#" in name for _, name in self.asked) > self.fail_at:
                raise KeyboardInterrupt
            return self.teach(*request.id.rsplit("/", 1))
        if "/" in request.id:  # at evaluation
            return "1\n\n### Reason: the first\n\n### Reference: none\n"
        if model == "seed" and request.params.temperature > 0 and request.id == self.empty:
            return " \n"
        return f"{model} at {request.params.temperature}"

    empty: str | None = None

    def teach(self, pair: str, order: str) -> str:
        letter = self.said[self.places[pair]]["ab".index(order[0])]
        if letter in LINES:
            return PandaLM(ASKED).target(Parts("tie", "because", "the reference")).removesuffix("Tie") + LINES[letter]
        if letter not in NAMES:
            return "I cannot say."
        verdict = NAMES[letter]
        position: Verdict = verdict if order == "ab" or verdict == "tie" else "B" if verdict == "A" else "A"
        return PandaLM(ASKED).target(Parts(position, f"because {pair}", "the reference"))


def stages(run_dir: Path) -> dict[str, dict[str, Any]]:
    manifest = json.loads((run_dir / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    return {stage["name"]: stage for stage in manifest["stages"]}


class Placed(Script):
    """Knows the place of a pair once the stage of pairs is there."""

    def __init__(self, store: Path, **settings: Any) -> None:
        super().__init__(**settings)
        self.store = store

    def teach(self, pair: str, order: str) -> str:
        if not self.places:
            (file,) = (self.store / "stages" / "candidate_pairs" / "d1").glob("*/pairs.jsonl")
            self.places = {row.id: place for place, row in enumerate(read_rows(file, ResponsePair))}
        return super().teach(pair, order)


Run = tuple[RunConfig, Path, Script, dict[str, Any]]


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    config, script = make_config(tiny, folder / "store"), Placed(folder / "store")
    config = replace(config, recipe=replace(config.recipe, candidates=config.recipe.candidates | {
        "three": CandidateConfig(tuned=False, chat=False, temperature=0.5)}))  # fmt: skip
    return config, folder / "out", script, run_recipe(config, folder / "out", script)


def test_counts_equal_the_table_worked_out_by_hand(run: Run) -> None:
    found = stages(run[1])
    assert found["splits"]["rows"] == {"held_out": 2, "validation": 0, "warm": 3, "d1": 4, "d2": 0}
    assert found["worked_reviews"]["rows"] == {"demonstrations": 3} and found["tuning/two"]["rows"] == {
        "demonstrations": 2
    }
    assert found["answers/one/d1"]["rows"] == {"answers": 4}
    assert found["candidate_pairs/d1"]["rows"] == {"instructions": 4, "pairs": 12}
    # 24 questions; B- and .g leave three without a verdict
    assert found["teacher_judgments"]["rows"] == {"asked": 24, "usable": 21}
    assert found["teacher_judgments"]["dropped"] == {
        "teacher: refused": 1, "teacher: another format: no verdict": 2,
    }  # fmt: skip
    # AA BB AA BB AA in both orders, and B- in the one that can be read
    assert found["cues/teacher"]["rows"] == {"pairs": 6}
    # AA tT BB AA BB AA are kept in both orders
    assert found["demonstrations/teacher"]["rows"] == {"demonstrations": 12}
    assert found["demonstrations/teacher"]["dropped"] == {
        "pair whose verdict changes sides with the order": 2,
        "pair with a verdict in one order and a tie in the other": 2,
        "pair with a usable judgment in one order only": 1,
    }


def test_candidates_and_teacher_are_who_they_should_be(run: Run) -> None:
    asked = Counter(model for model, name in run[2].asked if "#" in name)
    assert set(asked) == {"teacher"}, "the stand-in teaches, not the seed"
    pairs = read_rows(Path(stages(run[1])["candidate_pairs/d1"]["path"]) / "pairs.jsonl", ResponsePair)
    written = {(pair.model_a, pair.response_a) for pair in pairs} | {(pair.model_b, pair.response_b) for pair in pairs}
    assert written == {("one", "seed at 0.8"), ("two", "candidate-two at 0.0"), ("three", "seed at 0.5")}
    assert {pair.label for pair in pairs} == {None} and len({pair.group for pair in pairs}) == 4
    assert len({pair.model_a for pair in pairs}) > 1, "who is called A is drawn"


def test_the_judge_learns_its_own_format(run: Run) -> None:
    rows = read_rows(Path(stages(run[1])["demonstrations/teacher"]["path"]) / "rows.jsonl", Demonstration)
    first = rows[0]
    assert first.target.startswith(("1\n\n### Reason: because", "2\n\n### Reason: because"))
    assert first.target.endswith("\n\n### Reference: the reference\n")
    assert first.prompt[0]["content"].endswith("### Evaluation:\n")
    labels = Counter(row.target.split("\n")[0] for row in rows)
    assert labels == {"1": 5, "2": 5, "Tie": 2}, "both orders are kept, so positions balance"
    assert run[3]["eval/sft/starter/invalid_rate"] == 0.0
    manifest = json.loads((run[1] / "manifest.json").read_text())
    assert manifest["judges"] == ["seed", "sft"] and "name: pandalm" in (run[1] / "judge" / "judge.yaml").read_text()


def test_the_same_run_again_does_nothing_and_planning_names_its_stages(run: Run, tmp_path: Path) -> None:
    config, folder, script, numbers = run
    before = len(script.asked)
    assert run_recipe(config, folder, script) == numbers and len(script.asked) == before
    fresh = {stage.name: stage for stage in plan(replace(config, store=str(tmp_path / "empty")))}
    assert list(fresh) == list(stages(folder))
    assert fresh["teacher_judgments"].generations == 4 * 3 * 2


def test_an_interrupted_run_resumes_and_asks_nothing_twice(run: Run, tmp_path: Path) -> None:
    config = replace(run[0], store=str(tmp_path / "store"))
    first = Placed(tmp_path / "store", fail_at=10)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(config, tmp_path / "out", first)
    second = Placed(tmp_path / "store")
    assert run_recipe(config, tmp_path / "out", second) == run[3]
    taught = [Counter(name for _, name in script.asked if "#" in name) for script in (first, second)]
    assert sum((taught[0] & taught[1]).values()) <= 3, "the batch of the interruption alone"


def test_a_reply_cut_off_within_its_reference_is_not_trained_on(tiny: Path, tmp_path: Path) -> None:
    class Cut(ScriptedSampler):
        def _generate(self, request: Request, sample: int, mark: str) -> Generation:
            whole = super()._generate(request, sample, mark)
            return replace(whole, finish="length") if request.id.endswith("/ba") else whole

    pair = ResponsePair("p", "Why?", "So.", "Thus.", None)
    config = replace(make_config(tiny, tmp_path / "store"), teacher=TeacherConfig(max_failed=0.5))
    text = "1\n\n### Reason: shorter\n\n### Reference: Beca"
    with recorded(config, tmp_path / "out") as record:
        lab = Lab(config, record, lambda _: Cut(lambda request, _: text))
        pairs: Made[Any] = lab.make(Given(called="pairs", files={"pairs": [pair]}))
        stage = TeacherJudgments(compared=pairs, teacher=find_teacher(lab), prompt=PandaLMPrompt(), orders=ORDERS)
        found = lab.make(stage).done
    assert [row.order for row in read_rows(found.file("judgments.jsonl"), Judgment)] == ["ab"]
    assert found.info.dropped == {"teacher: cut off": 1}


def test_cut_answers_of_candidates_are_dropped(tiny: Path, tmp_path: Path) -> None:
    class Cut(ScriptedSampler):
        def _generate(self, request: Request, sample: int, mark: str) -> Generation:
            whole = super()._generate(request, sample, mark)
            return replace(whole, finish="length") if request.id == "q1" else whole

    asked = [ResponsePair(name, f"Why {name}?", "", "", None) for name in ("q0", "q1", "q2")]
    config = make_config(tiny, tmp_path / "store")
    with recorded(config, tmp_path / "out") as record:
        lab = Lab(config, record, lambda _: Cut(lambda request, _: f"as to {request.id}"))
        stage = CandidateAnswers(
            candidate="one", split="d1", instructions=lab.make(Given(called="d1", files={"d1": asked})),
            model=lab.model(lab.seed), temperature=1.0, top_p=1.0, chat=True,
        )  # fmt: skip
        found = lab.make(stage).done
    assert [row.id for row in read_rows(found.file("answers.jsonl"), Response)] == ["q0", "q2"]
    assert found.info.dropped == {"response cut at data.response_tokens": 1}


def test_conflicts_alone_end_the_run_with_a_remedy(run: Run, tmp_path: Path) -> None:
    config = replace(run[0], store=str(tmp_path / "store"))
    with pytest.raises(StageError, match="12 x pair whose verdict changes sides") as error:
        run_recipe(config, tmp_path / "out", Placed(tmp_path / "store", said=["AB"] * 12))
    assert "recipe.warm_start.enabled=true" in str(error.value)


def test_mistakes_are_told_together() -> None:
    overrides = ["recipe=pandalm", "recipe.candidates.plain=null", "prompt=pandalm_teacher", "data=starter",
                 "data.sources.maths.pairs=none", "prompt@teacher.prompt=pairwise"]  # fmt: skip
    with pytest.raises(ConfigError) as error:
        Composer().job(overrides)
    assert sorted(problem.key for problem in error.value.problems) == [
        "data.sources.maths.pairs", "prompt.name", "recipe.candidates", "teacher.prompt",
    ]  # fmt: skip


def test_the_small_experiment_fits_its_plan(tmp_path: Path) -> None:
    config = Composer().job(["experiment=pandalm_demo", f"store={tmp_path}"]).config
    assert isinstance(config, RunConfig)
    found = {stage.name: stage for stage in plan(config)}
    assert found["teacher_judgments"].generations == 144 * 2
    assert [name for name in found if name.startswith("train/")] == [
        "train/teacher", "train/candidate-tuned", "train/sft",
    ]  # fmt: skip
