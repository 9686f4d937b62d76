"""The whole recipe on a tiny model with a scripted teacher: counts equal a table worked out by hand."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judgekit.data.constraints import constraint_instructions
from judgekit.data.splits import split_instructions
from judgekit.errors import ConfigError
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.planning import plan
from judgekit.prompts.critiquellm import CritiquePair, CritiquePairPrompt, CritiquePoint, CritiquePointPrompt
from judgekit.prompts.tokenizers import load_tokenizer
from judgekit.recipes.critiquellm.config import CritiqueLLMConfig, StandInConfig
from judgekit.recipes.critiquellm.stages import PearsonWithTeacher
from judgekit.rows import Demonstration, Judgment, ResponsePair, read_rows
from judgekit.runner import run_recipe
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.base import Request
from judgekit.schema.candidates import CandidateConfig
from judgekit.schema.composition import Composer
from judgekit.schema.config import RunConfig
from judgekit.schema.data import DataConfig, SourceConfig
from judgekit.schema.models import ModelConfig
from judgekit.schema.optim import OptimConfig
from judgekit.schema.teachers import TeacherConfig
from judgekit.schema.trainer import TrainerConfig
from judgekit.score_rows import ScoreRow, read_scores
from judgekit.stages.lab import Lab
from judgekit.stages.stage import Made
from judgekit.stages.watched import filled
from judgekit.tracking.recording import recorded
from judgekit.weights import Weights
from tests.helpers import Given, ScriptedSampler
from tests.training.tiny import make_model

SEED = 5
SIZES = {"held_out": 2, "validation": 2, "warm": 2, "d1": 6, "d2": 0}
STEP = OptimConfig(lr=1e-3, max_steps=2, epochs=2, batch_size=2, checkpoint_every=1)
PROMPT = CritiquePairPrompt(style="brief")

SCORES = ["82", "-5", "67", "88", "39", "91"]
"""point-ref of the D1 pairs: scores of response_a and response_b; -: none."""
FREE_SCORES = ["82", " 5", "67", "85", "39", "91"]
"""point-free: the fourth's second score moved by 3."""
COMPARED = {
    "pair_ref": {0: "A", 2: "B", 3: "tie", 4: "cites", 5: "A"},
    "path1": {0: "A", 2: "B", 3: "mentions", 5: "refuses"},
    "path2": {0: "A", 2: "A", 4: "B", 5: "A"},
}
"""Comparisons of the D1 pairs by step; pairs that are not there must not be asked about."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model", max_position_embeddings=2048)


def make_config(tiny: Path, store: Path, **recipe: Any) -> RunConfig:
    stand_in = StandInConfig(enabled=True, examples=2, optim=replace(STEP, max_steps=1))
    return RunConfig(
        name="tiny",
        seed=SEED,
        store=str(store),
        model=ModelConfig(name="tiny", path=str(tiny), dtype="float32", max_length=2048),
        data=DataConfig(
            sources={"constraints": SourceConfig(kind="constraints", pairs="written", count=12)},
            first_round=6,
            validation=2,
            held_out=2,
        ),
        prompt=PROMPT,
        recipe=CritiqueLLMConfig(**{"references": "worked", "stand_in": stand_in, "sft": STEP} | recipe),
        sampler=HfConfig(judge_tokens=96),
        trainer=TrainerConfig(lora_rank=2, lora_alpha=4, max_tokens=2048, accelerator="cpu"),
        teacher=TeacherConfig(max_failed=0.5),
        benchmark={"starter": BenchmarkConfig(kind="starter")},
    )


class Script:
    """Writes what the tables say, and remembers what was asked.

    :param fail_at: stop like a killed process once so many replies of the teacher were sampled
    """

    def __init__(self, tiny: Path, fail_at: int | None = None) -> None:
        rows = constraint_instructions(12, SEED)
        splits = split_instructions({"constraints": rows}, SIZES, SEED)
        self.places = {row.id: place for place, row in enumerate(splits["d1"])}
        self.tokenizer = load_tokenizer(tiny)
        self.fail_at, self.asked, self.checkpoints = fail_at, list[tuple[str, str]](), list[Weights]()

    def __call__(self, weights: Weights) -> ScriptedSampler:
        name = weights.adapter.parent.parent.name if weights.adapter is not None else "seed"
        if weights.adapter is not None and weights.adapter.name != "judge":
            self.checkpoints.append(weights)
        return ScriptedSampler(lambda request, _: self.answer(name, request), batch_size=3)

    def answer(self, judge: str, request: Request) -> str:
        text = self.tokenizer.decode(request.prompt_ids)
        if "Review the answer" not in text and "omparison" not in text and "Compare two" not in text:
            return self.judged(text, request.id)
        assert judge == "stand_in", "the stand-in teaches"
        step = self.step(text)
        self.asked.append((step, request.id))
        if self.fail_at is not None and len(self.asked) > self.fail_at:
            raise KeyboardInterrupt
        return self.score(step, request.id) if step.startswith("point") else self.compare(step, request.id)

    def step(self, text: str) -> str:
        if "Review the answer" in text:
            return "point_free" if "Say it without the reference." in text else "point_ref"
        if "Say this comparison" in text:
            return "path1"
        return "pair_ref" if "[Start of reference answer]" in text else "path2"

    def judged(self, text: str, name: str) -> str:
        if "Assistant 1" in text:  # benchmark pairs: always the first
            return "Fine.\n{'Overall comparison': 'Assistant 1'}"
        assert "[Start of reference answer]" in text
        # as the teacher at the first checkpoint, the reverse at the second
        good = name.endswith("/a") == (len(self.checkpoints) == 1)
        return f"Fine.\n{{'Overall score': {8 if good else 2}}}"

    def score(self, step: str, name: str) -> str:
        pair, side = name.split("/")
        if pair not in self.places:  # validation: response_a is the better one
            return f"Well.\n{{'Overall score': {8 if side == 'a' else 2}}}"
        table = SCORES if step == "point_ref" else FREE_SCORES
        score = table[self.places[pair]]["ab".index(side)]
        assert score != " ", "a response without a critique must not be asked about again"
        return "I like it." if score == "-" else f"{step} of {side}.\n{{'Overall score': {score}}}"

    def compare(self, step: str, pair: str) -> str:
        kind = COMPARED[step][self.places[pair]]
        said = {"cites": "A scored 3. ", "mentions": "As the reference answer. "}.get(kind, "")
        if kind == "refuses":
            return "I'm sorry, but I can't do that."
        verdict = {"A": "Assistant 1", "B": "Assistant 2"}.get(kind, "Tie")
        return f"{step}: {said}Assistant 1 against Assistant 2.\n{{'Overall comparison': '{verdict}'}}"


def stages(run_dir: Path) -> dict[str, dict[str, Any]]:
    manifest = json.loads((run_dir / "manifest.json").read_text())
    return {stage["name"]: stage for stage in manifest["stages"]}


Run = tuple[RunConfig, Path, Script, dict[str, Any]]


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    config, script = make_config(tiny, folder / "store"), Script(tiny)
    return config, folder / "out", script, run_recipe(config, folder / "out", script)


def test_counts_equal_the_table_worked_out_by_hand(run: Run) -> None:
    found = stages(run[1])
    counts = {
        name: found[f"critiques/d1/{name}"]["rows"]
        for name in ("point_ref", "pair_ref", "path1", "point_free", "path2")
    }
    dropped = {name: found[f"critiques/d1/{name}"]["dropped"] for name in counts}
    assert {name: (row["asked"], row["usable"]) for name, row in counts.items()} == {
        "point_ref": (12, 11), "pair_ref": (5, 4), "path1": (4, 2), "point_free": (11, 10), "path2": (4, 4),
    }  # fmt: skip
    assert dropped == {
        "point_ref": {"teacher: another format: missing": 1},
        "pair_ref": {"a response without a critique": 1, "teacher: another format: cites scores": 1},
        "path1": {"teacher: another format: mentions the reference": 1, "teacher: refused": 1},
        "point_free": {"teacher: another format: score moved": 1},
        "path2": {"a response without a critique": 2},
    }
    assert counts["path2"]["A"] == 3 and counts["path2"]["B"] == 1
    # path 1 has the first (A) and the third (B); on path 2 the first is A too, the third is A, two more are alone
    assert found["critiques/d1/pair_free"]["rows"] == {"agreeing": 1, "comparisons": 2}
    assert found["critiques/d1/pair_free"]["dropped"] == {"the paths disagree": 1, "no comparison on path 1": 2}
    # with reference 11 + 2·4, without 10 + 2·2
    assert found["critiques/rows"]["rows"] == {
        "with reference": 19, "without reference": 14, "demonstrations": 33,
    }  # fmt: skip
    assert found["worked_critiques"]["rows"] == {"demonstrations": 2 * 2 + 5}, "the second pair only shows point-ref"
    assert found["references"]["rows"] == SIZES


def test_training_rows_show_a_reference_only_where_the_critique_had_one(run: Run) -> None:
    found = stages(run[1])
    rows = read_rows(Path(found["critiques/rows"]["path"]) / "rows.jsonl", Demonstration)
    kinds = Counter(row.id.split("/")[0] for row in rows)
    assert kinds == {"point_ref": 11, "pair_ref1": 8, "point_free": 10, "pair_free1": 2, "pair_free2": 2}
    for row in rows:
        (message,) = row.prompt
        assert ("[Start of reference answer]" in message["content"]) == ("_ref" in row.id.split("/")[0])
    point, compare = CritiquePoint(CritiquePointPrompt(style="brief")), CritiquePair(PROMPT)
    scores = {
        f"point_ref/{row.id}": row.score
        for row in read_scores(Path(found["critiques/d1/point_ref"]["path"]) / "scores.jsonl")
    }
    assert {row.id: point.read_score(row.target, False).score for row in rows if "point_ref" in row.id} == scores
    both = {row.id: row.target for row in rows if "pair" in row.id}
    for name, text in both.items():
        other = both[name[:-2] + "ba"]
        if name.endswith("/ab"):
            assert {compare.read(text, False).verdict, compare.read(other, False).verdict} in ({"A", "B"}, {"tie"})
    kept = read_rows(Path(found["critiques/d1/pair_free"]["path"]) / "judgments.jsonl", Judgment)
    assert [(row.sample, row.text.split(":")[0]) for row in kept] == [(0, "path1"), (1, "path2")]


def test_the_checkpoint_is_chosen_by_its_correlation_with_the_teacher(run: Run) -> None:
    found = stages(run[1])["train/sft"]
    series = [json.loads(line) for line in (Path(found["path"]) / "series.jsonl").read_text().splitlines()]
    assert [point["values"]["train/sft/validation"] for point in series] == [pytest.approx(1.0), pytest.approx(-1.0)]
    assert found["rows"]["chosen_step"] == 1


@pytest.mark.parametrize(("readable", "expected"), [(2, -1.0), (3, 1.0)])
def test_a_checkpoint_with_few_readable_scores_is_not_chosen(
    run: Run, tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, readable: int, expected: float
) -> None:
    scores = {"p0/a": 8, "p0/b": 2, "p1/a": 8, "p1/b": 2, "p2/a": 8, "p2/b": 2}
    told = list(scores)[:readable]

    def answer(request: Request, sample: int) -> str:
        return f"{{'Overall score': {scores[request.id]}}}" if request.id in told else "Fine."

    pairs = [ResponsePair(f"p{i}", f"Why {i}?", "So.", "Thus.", "A", reference="So.") for i in range(3)]
    taught = [ScoreRow(name, 0, score + 1, None, "") for name, score in scores.items()]
    config = replace(run[0], store=str(tmp_path / "store"))
    with recorded(config, tmp_path / "out") as record, caplog.at_level("INFO", "judgekit"):
        lab = Lab(config, record, lambda _: ScriptedSampler(answer))
        shown: Made[Any] = lab.make(Given(called="pairs", files={"validation": pairs}))
        gold: Made[Any] = lab.make(Given(called="gold", files={"scores": taught}))
        validation = filled(PearsonWithTeacher(shown, gold), config, set())
        assert validation.score(lab.ask(Weights(tiny))) == pytest.approx(expected)
    assert ("4 of 6 replies without a score, more than half" in caplog.text) == (expected < 0)


def test_judges_are_measured_and_the_judge_says_how_it_is_asked(run: Run) -> None:
    _, folder, _, numbers = run
    assert numbers["eval/sft/starter/accuracy"] == 0.5 and numbers["eval/sft/starter/invalid_rate"] == 0
    assert json.loads((folder / "manifest.json").read_text())["judges"] == ["seed", "sft"]
    text = (folder / "judge" / "judge.yaml").read_text()
    assert "name: critiquellm\n" in text and "style: brief" in text


def test_a_killed_run_goes_on_and_asks_nothing_twice(run: Run, tiny: Path, tmp_path: Path) -> None:
    config = replace(run[0], store=str(tmp_path / "store"))
    first, second = Script(tiny, fail_at=16), Script(tiny)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(config, tmp_path / "out", first)
    assert run_recipe(config, tmp_path / "out", second) == run[3]
    assert not Counter(first.asked[:-3]) & Counter(second.asked), "all but the batch of the interruption is kept"
    for name in ("critiques/rows", "critiques/d1/pair_free"):
        files = [next(Path(stages(place)[name]["path"]).glob("*s.jsonl")) for place in (run[1], tmp_path / "out")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_other_choices_ask_the_teacher_nothing_anew(run: Run, tmp_path: Path) -> None:
    asked = len(run[2].asked)
    recipe = replace(
        run[0].recipe,
        cross_validate=False,
        swap=False,
        with_reference=False,
        validate=False,
        sft=replace(STEP, max_steps=1),
    )
    run_recipe(replace(run[0], recipe=recipe), tmp_path / "out", run[2])
    found = stages(tmp_path / "out")
    # all of both paths: 2 + 4
    assert found["critiques/d1/pair_free"]["rows"] == {"agreeing": 1, "comparisons": 6}
    assert found["critiques/rows"]["rows"] == {"without reference": 16, "demonstrations": 16}
    assert len(run[2].asked) == asked


def test_responses_may_be_candidates_and_references_the_teachers(tiny: Path, tmp_path: Path) -> None:
    class Answering(Script):
        def answer(self, judge: str, request: Request) -> str:
            text = self.tokenizer.decode(request.prompt_ids)
            if request.params.temperature > 0:
                return f"Answer {request.id} at {request.params.temperature}."
            if "Start of" in text or "Answer of" in text:
                return super().answer("stand_in", request)
            self.asked.append(("reference", request.id))
            return {2: "", 3: "I'm sorry, but I can't help."}.get(len(self.asked), "A reference.")

        def compare(self, step: str, pair: str) -> str:
            return "So.\n{'Overall comparison': 'Tie'}"

    candidates = {"hot": CandidateConfig(temperature=1.0), "cool": CandidateConfig(temperature=0.5)}
    config = make_config(
        tiny, tmp_path / "store", references="teacher", validate=False, stand_in=StandInConfig(),
        candidates=candidates, sft=replace(STEP, max_steps=1),
    )  # fmt: skip
    source = SourceConfig(kind="constraints", pairs="none", count=4)
    data = replace(config.data, sources={"own": source}, first_round=4, validation=0, held_out=0, response_tokens=32)
    script = Answering(tiny)
    run_recipe(replace(config, data=data, benchmark={}), tmp_path / "out", script)
    found = stages(tmp_path / "out")
    assert sum(step == "reference" for step, _ in script.asked) == 4
    assert found["references"]["dropped"] == {
        "teacher: another format: missing": 1,
        "teacher: refused": 1,
        "d1: no reference": 2,
    }
    assert found["critiques/d1/point_ref"]["rows"]["usable"] == 2 * 2
    assert found["critiques/d1/pair_free"]["rows"] == {"agreeing": 2, "comparisons": 4}
    rows = read_rows(Path(found["critiques/rows"]["path"]) / "rows.jsonl", Demonstration)
    assert any("at 1.0." in row.prompt[0]["content"] and "A reference." in row.prompt[0]["content"] for row in rows)


def test_planning_names_every_stage_of_the_run(run: Run, tmp_path: Path) -> None:
    assert all(stage.stored for stage in plan(run[0]))
    fresh = {stage.name: stage for stage in plan(replace(run[0], store=str(tmp_path / "empty")))}
    assert list(fresh) == list(stages(run[1]))
    assert fresh["critiques/d1/point_ref"].generations == 12


def test_what_cannot_work_is_said_before_anything_starts(tmp_path: Path) -> None:
    wrong = [
        "prompt=pairwise", "recipe.pointwise=false", "recipe.pairwise=false", "recipe.stand_in.enabled=true",
        "teacher=openai", "data.validation=0", "data.first_round=9999", "recipe.sft.betas=[0.9,1.0]",
    ]  # fmt: skip
    with pytest.raises(ConfigError) as error:
        Composer().job(["recipe=critiquellm", *wrong])
    assert {problem.key for problem in error.value.problems} == {
        "prompt.name", "recipe.pointwise", "recipe.stand_in.enabled", "recipe.validate", "data", "recipe.sft.betas",
    }  # fmt: skip
    late = [
        "recipe.augmentation.enabled=true", "data.sources.starter.pairs=noisy_instruction",
        "+recipe.candidates={one:{temperature:0.5},two:{model:{hub_id:some/model}}}",
    ]  # fmt: skip
    with pytest.raises(ConfigError) as error:
        Composer().job(["recipe=critiquellm", "prompt=critiquellm", "loss=sft", *late])
    assert sorted(problem.key for problem in error.value.problems) == [
        "data.sources.constraints.pairs", "data.sources.maths.pairs", "recipe.candidates.two.model.revision",
    ]  # fmt: skip
    config = Composer().job(["experiment=critiquellm_demo", f"store={tmp_path}"]).config
    names = [stage.name for stage in plan(config)]
    assert names.index("train/stand_in") < names.index("critiques/d1/point_ref") < names.index("train/sft")
