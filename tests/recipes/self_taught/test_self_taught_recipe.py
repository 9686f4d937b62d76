"""The whole recipe on a tiny model with a scripted sampler: counts equal a table worked out by hand."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judgekit.data.constraints import constraint_instructions
from judgekit.data.pairs import build_pairs
from judgekit.data.splits import split_instructions
from judgekit.errors import StageError
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.losses.dpo import DpoLoss
from judgekit.losses.sft import SftLoss
from judgekit.planning import plan
from judgekit.prompts.self_taught import SelfTaughtPrompt
from judgekit.recipes.self_taught.config import SelectionConfig, SelfTaughtConfig
from judgekit.rows import Demonstration, Instruction, Preference, read_rows
from judgekit.runner import run_recipe
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.base import Request
from judgekit.schema.bias import BiasConfig
from judgekit.schema.composition import Composer
from judgekit.schema.config import RunConfig
from judgekit.schema.data import DataConfig, SourceConfig
from judgekit.schema.logger import LoggerConfig
from judgekit.schema.models import ModelConfig
from judgekit.schema.optim import OptimConfig
from judgekit.schema.trainer import TrainerConfig
from judgekit.schema.warm_start import WarmStartConfig
from judgekit.weights import Weights
from tests.helpers import ScriptedSampler
from tests.training.tiny import make_model

SEED = 5
SIZES = {"held_out": 2, "validation": 0, "warm": 2, "d1": 4, "d2": 0}
STEP = OptimConfig(lr=1e-3, max_steps=1, epochs=1, batch_size=2, checkpoint_every=1)

# Judgments of the D1 examples by who samples them (1: the warm seed, 2 and 3: judges of the iterations) and order:
# R right, W wrong, T tie, M no verdict, B both verdicts.
SCRIPT: dict[int, list[dict[str, str]]] = {
    1: [{"ab": "RRW", "ba": "RWT"}, {"ab": "WWW", "ba": "RRR"}, {"ab": "MTB", "ba": "RWM"}, {"ab": "RRR", "ba": "WWM"}],
    2: [{"ab": "RRR", "ba": "RRW"}, {"ab": "RWW", "ba": "RRR"}, {"ab": "RRT", "ba": "RRM"}, {"ab": "RRR", "ba": "RRB"}],
    3: [{"ab": "RRW", "ba": "RRR"}, {"ab": "RRR", "ba": "WRR"}, {"ab": "RRT", "ba": "RRR"}, {"ab": "WRM", "ba": "RWT"}],
}
HOTTER = [
    {"ab": "RRR", "ba": "RRR"},
    {"ab": "WRM", "ba": "RRR"},
    {"ab": "RRR", "ba": "RRR"},
    {"ab": "TRR", "ba": "RRR"},
]
"""The further judgments of the last iteration's judge at a higher temperature."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model", max_position_embeddings=2048)


def make_config(tiny: Path, store: Path, **recipe: Any) -> RunConfig:
    start = WarmStartConfig(enabled=True, examples=2, plan_every=0, optim=STEP)
    settings = {"iterations": 2, "judgments": 3, "validate": False, "warm_start": start, "sft": STEP, "dpo": STEP}
    return RunConfig(
        name="tiny",
        seed=SEED,
        store=str(store),
        model=ModelConfig(name="tiny", path=str(tiny), dtype="float32", max_length=2048),
        data=DataConfig(
            sources={"constraints": SourceConfig(kind="constraints", pairs="written", count=8)},
            first_round=4,
            second_round=64,
            validation=0,
            held_out=2,
        ),
        prompt=SelfTaughtPrompt(style="brief"),
        recipe=SelfTaughtConfig(**settings | recipe),
        loss=DpoLoss(),
        bias=BiasConfig(balance_labels=False),
        sampler=HfConfig(judge_tokens=64, temperature=0.7, top_p=0.9),
        trainer=TrainerConfig(lora_rank=2, lora_alpha=4, max_tokens=2048, accelerator="cpu"),
        benchmark={"starter": BenchmarkConfig(kind="starter")},
        logger=LoggerConfig(table_rows=4),
    )


class Script:
    """Writes what SCRIPT says, and remembers who was asked for what.

    :param fail_at: stop like a killed process once so many judgments were sampled
    """

    def __init__(self, fail_at: int | None = None) -> None:
        rows = constraint_instructions(8, SEED)
        splits = split_instructions({"constraints": rows}, SIZES, SEED)
        self.places = {row.id: place for place, row in enumerate(splits["d1"])}
        written = SourceConfig(kind="constraints", pairs="written")
        pairs = build_pairs(rows, written, DataConfig(), seed=SEED, ask=dict, verify=list, drop=print)
        self.labels = {pair.id: str(pair.label) for pair in pairs}
        self.fail_at, self.sampled = fail_at, list[tuple[str, str, int, float]]()

    def __call__(self, weights: Weights) -> ScriptedSampler:
        """The back end for some weights; the trained judges come in the order of the iterations."""
        name = weights.adapter.parent.parent.name if weights.adapter is not None else "seed"
        return ScriptedSampler(lambda request, sample: self.answer(name, request, sample), batch_size=3)

    def answer(self, judge: str, request: Request, sample: int) -> str:
        self.sampled.append((judge, request.id, sample, request.params.temperature))
        drawn = sum(temperature > 0 for *_, temperature in self.sampled)
        if self.fail_at is not None and drawn > self.fail_at:
            raise KeyboardInterrupt
        pair, order = request.id.split("/")
        if request.params.temperature == 0:  # at evaluation: always the first position
            return "Looks good.\n[[A]]"
        if pair not in self.places:  # votes on held-out pairs: two of three are right
            return self.write("RRW"[sample], pair, order, sample)
        asked = {"warm": 1, "iter1": 2, "dpo1": 2, "iter2": 3}[judge]
        hotter = request.params.temperature > 0.7
        assert hotter == (sample >= 100_000)
        table = HOTTER if hotter else SCRIPT[asked]
        return self.write(table[self.places[pair]][order][sample % 100_000], pair, order, sample)

    def write(self, kind: str, pair: str, order: str, sample: int) -> str:
        first = (self.labels[pair] == "A") == (order == "ab")
        ends = {"R": f"[[{'AB'[not first]}]]", "W": f"[[{'AB'[first]}]]", "T": "[[C]]", "M": "?", "B": "[[A]] [[B]]"}
        return f"Judgment {kind} {sample}.\n{ends[kind]}"


def stages(run_dir: Path) -> dict[str, dict[str, Any]]:
    manifest = json.loads((run_dir / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    return {stage["name"]: stage for stage in manifest["stages"]}


Run = tuple[RunConfig, Path, Script, dict[str, Any]]


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    config, script = make_config(tiny, folder / "store", num_pairs=2, votes=3, negative_temperature=1.2), Script()
    return config, folder / "out", script, run_recipe(config, folder / "out", script)


def test_counts_equal_the_table_worked_out_by_hand(run: Run) -> None:
    found = stages(run[1])
    assert found["splits"]["rows"] == SIZES
    # 4 examples x 2 orders x 3; iteration 1 has 3 M, 1 B and 10 R; iteration 2 has 1 M, 1 B and 18 R
    assert found["judgments/iter1"]["rows"] == {"pairs": 4, "judgments": 24, "valid": 20, "correct": 10}
    assert found["judgments/iter1"]["dropped"] == {
        "judgment without a verdict: missing": 3,
        "judgment without a verdict: ambiguous": 1,
    }
    assert found["judgments/iter2"]["rows"] == {"pairs": 4, "judgments": 24, "valid": 22, "correct": 18}
    # never right: the second example in ab, the third in ab, the fourth in ba
    assert found["demonstrations/iter1"]["rows"] == {"demonstrations": 5}
    assert found["demonstrations/iter1"]["dropped"] == {"prompt without a correct judgment": 3}
    assert found["demonstrations/iter2"]["rows"] == {"demonstrations": 8}
    assert found["demonstrations/iter2"]["dropped"] == {}
    # DPO pairs are the judgments of the judge that SFT made: 1 M, and 17 R
    assert found["judgments/dpo2"]["rows"] == {"pairs": 4, "judgments": 24, "valid": 23, "correct": 17}
    # RRW ab: 2, RRR ba | RRR ab with W and M hotter: 6, WRR ba: 2 | RRT: 2, RRR | WRM ab with T hotter: 3, RWT: 2
    assert found["negatives/dpo2"]["rows"] == {"pairs": 4, "judgments": 24, "valid": 23, "correct": 21}
    assert found["preferences/dpo2"]["rows"] == {"preferences": 2 + 2 + 2 + 2 + 2 + 2}
    assert found["preferences/dpo2"]["dropped"] == {
        "pair over recipe.num_pairs": 4 + 1,
        "prompt without an incorrect judgment": 2,
    }
    assert not [name for name in found if "dpo1" in name]


def test_training_rows_are_judgments_on_the_plain_prompt(run: Run) -> None:
    found = stages(run[1])
    script = run[2]
    rows = read_rows(Path(found["demonstrations/iter1"]["path"]) / "rows.jsonl", Demonstration)
    assert len({row.prompt[-1]["content"] for row in rows}) == len(rows) == 5
    for row in rows:
        pair, order, sample = row.id.rsplit("/", 2)
        assert row.target == script.write("R", pair, order, int(sample))
        assert SCRIPT[1][script.places[pair]][order][int(sample)] == "R"
        assert "[The Start of Assistant A's Answer]" in row.prompt[-1]["content"]
    for preference in read_rows(Path(found["preferences/dpo2"]["path"]) / "rows.jsonl", Preference):
        assert preference.chosen.startswith("Judgment R") and not preference.rejected.startswith("Judgment R")


def test_every_iteration_trains_the_same_judge_anew(run: Run) -> None:
    from judgekit.store import STAGE_FILE

    found = stages(run[1])
    inputs = {
        name: json.loads((Path(found[name]["path"]) / STAGE_FILE).read_text())["inputs"]
        for name in ("train/iter1", "train/iter2", "train/dpo2", "judgments/iter2", "judgments/dpo2", "negatives/dpo2")
    }
    warm = found["train/warm"]["digest"]
    assert inputs["train/iter1"] == [found["demonstrations/iter1"]["digest"], warm]
    assert inputs["train/iter2"] == [found["demonstrations/iter2"]["digest"], warm]
    assert found["train/iter2"]["digest"] in inputs["train/dpo2"] and warm not in inputs["train/dpo2"]
    assert inputs["judgments/iter2"][-1] == found["train/iter1"]["digest"]
    assert inputs["judgments/dpo2"][-1] == inputs["negatives/dpo2"][-1] == found["train/iter2"]["digest"]


def test_votes_are_a_row_of_their_own(run: Run) -> None:
    config, folder, _, numbers = run
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["judges"] == ["seed", "warm", "iter1", "iter2", "dpo2", "dpo2-vote3"]
    assert numbers["eval/dpo2/starter/accuracy"] == 0.5, "greedy it names the first position"
    assert numbers["eval/dpo2-vote3/starter/consistent_accuracy"] == 1.0, "two of three votes are right"
    samples = Path(stages(folder)["verdicts/dpo2-vote3/starter"]["path"]) / "verdicts.jsonl"
    assert len(samples.read_text().splitlines()) == 2 * 2 * 3
    assert "judge: dpo2\n" in (folder / "judge" / "judge.yaml").read_text()
    assert numbers["train/dpo2/loss"] == pytest.approx(0.6931, abs=1e-3)
    assert config.recipe.name == "self_taught"


def test_the_same_run_again_does_nothing(run: Run) -> None:
    config, folder, script, numbers = run
    sampled = len(script.sampled)
    assert run_recipe(config, folder, script) == numbers
    assert len(script.sampled) == sampled
    assert {stage["status"] for stage in stages(folder).values()} == {"reused"}
    assert all(stage.stored for stage in plan(config))


def test_planning_names_every_stage_of_the_run(run: Run, tmp_path: Path) -> None:
    config, folder, _, _ = run
    fresh = {stage.name: stage for stage in plan(replace(config, store=str(tmp_path / "empty")))}
    assert list(fresh) == list(stages(folder))
    assert fresh["judgments/iter1"].generations == 4 * 2 * 3
    assert fresh["verdicts/dpo2-vote3/starter"].generations == 3 * fresh["verdicts/dpo2/starter"].generations


def swept(run: Run, folder: Path, bias: BiasConfig, **recipe: Any) -> tuple[dict[str, dict[str, Any]], Script]:
    """One iteration of SFT with other selection rules in the same store."""
    changed = replace(run[0].recipe, iterations=1, votes=0, **recipe)
    script = Script()
    run_recipe(replace(run[0], recipe=changed, bias=bias, loss=SftLoss()), folder, script)
    found = stages(folder)
    assert found["judgments/iter1"]["status"] == "reused"
    assert {temperature for *_, temperature in script.sampled} <= {0.0}, "only the new judge is asked, greedily"
    return found, script


def test_a_sweep_over_the_majority_filter_samples_nothing_before_training(run: Run, tmp_path: Path) -> None:
    found, _ = swept(run, tmp_path / "out", run[0].bias, majority_fraction=0.5)
    assert found["demonstrations/iter1"]["rows"] == {"demonstrations": 3}
    assert found["demonstrations/iter1"]["dropped"] == {
        "prompt without a correct judgment": 3,
        "prompt below recipe.majority_fraction": 2,
    }


def test_a_sweep_over_balance_samples_nothing_before_training(run: Run, tmp_path: Path) -> None:
    found, script = swept(run, tmp_path / "out", BiasConfig(balance_labels=True))
    first = Counter(
        (script.labels[pair] == "A") == (order == "ab")
        for pair, place in script.places.items()
        for order, letters in SCRIPT[1][place].items()
        if "R" in letters
    )
    assert sum(first.values()) == 5 and min(first.values()) == 2
    assert found["demonstrations/iter1"]["rows"] == {"demonstrations": 4}
    assert found["demonstrations/iter1"]["dropped"] == {
        "prompt without a correct judgment": 3,
        "demonstration cut to balance A and B": 1,
    }


def test_preference_training_may_follow_every_iteration(run: Run, tmp_path: Path) -> None:
    config = replace(
        run[0], recipe=replace(run[0].recipe, preference_rounds="every", negative_temperature=None, votes=0)
    )
    script = Script()
    run_recipe(config, tmp_path / "every", script)
    found = stages(tmp_path / "every")
    assert [name for name in found if name.startswith("train/")] == [
        "train/warm", "train/iter1", "train/dpo1", "train/iter2", "train/dpo2",
    ]  # fmt: skip
    # RRR, RRW: 2 | RWW: 2, RRR | RRT: 2, RRM: 2 | RRR, RRB: 2
    assert found["preferences/dpo1"]["rows"] == {"preferences": 10}
    assert {judge for judge, *_, temperature in script.sampled if temperature > 0} == {"dpo1"}, (
        "SFT judges are as before"
    )


def test_an_interrupted_run_resumes_and_samples_nothing_twice(run: Run, tiny: Path, tmp_path: Path) -> None:
    config = replace(run[0], store=str(tmp_path / "store"))
    first = Script(fail_at=24 + 10)  # in the middle of the second iteration's judgments
    with pytest.raises(KeyboardInterrupt):
        run_recipe(config, tmp_path / "out", first)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "interrupted"
    second = Script()
    numbers = run_recipe(config, tmp_path / "out", second)
    assert numbers == run[3]
    twice = Counter(first.sampled[:-3]) & Counter(second.sampled)  # the batch of the interruption itself is lost
    assert not twice
    trained = [stage["name"] for stage in stages(tmp_path / "out").values() if stage["status"] == "computed"]
    assert "train/iter1" not in trained and "train/iter2" in trained
    names = ("demonstrations/iter2", "preferences/dpo2")
    for name in names:
        rows = [(Path(stages(place)[name]["path"]) / "rows.jsonl").read_bytes() for place in (run[1], tmp_path / "out")]
        assert rows[0] == rows[1]


def test_a_seed_that_never_judges_right_is_told_what_helps(run: Run, tmp_path: Path) -> None:
    class Wrong(Script):
        def write(self, kind: str, pair: str, order: str, sample: int) -> str:
            return super().write("W", pair, order, sample)

    config = replace(run[0], store=str(tmp_path / "store"))
    with pytest.raises(StageError, match="No demonstrations could be selected from the judgments of iter1") as error:
        run_recipe(config, tmp_path / "wrong", Wrong())
    assert "8 x prompt without a correct judgment" in str(error.value) and "recipe.warm_start" in str(error.value)


def test_instructions_are_classified_and_selected(tiny: Path, tmp_path: Path) -> None:
    rules = SelectionConfig(enabled=True, categories=("lists", "prose"), keep=("lists",), per_category=6, tokens=32)
    config = make_config(tiny, tmp_path / "store", iterations=1, selection=rules, warm_start=WarmStartConfig())
    source = SourceConfig(kind="constraints", pairs="written", count=12)
    config = replace(config, data=replace(config.data, sources={"constraints": source}), loss=SftLoss())
    ids = [row.id for row in constraint_instructions(12, SEED)]
    answers = ["Category: Lists\nComplexity: 3"] * 8 + [
        "Category: prose\nComplexity: 2",
        "Category: lists",
        "?",
        "Lists",
    ]

    class Classifier(Script):
        def answer(self, judge: str, request: Request, sample: int) -> str:
            if "/" not in request.id:
                assert request.params.temperature == 0
                return answers[ids.index(request.id)]
            return "Fine.\n[[A]]"

    run_recipe(config, tmp_path / "out", Classifier())
    found = stages(tmp_path / "out")
    assert found["classes"]["rows"] == {"lists": 8, "complexity 3": 8, "prose": 1, "complexity 2": 1}
    assert found["classes"]["dropped"] == {"complexity missing": 1, "category missing": 2}
    assert found["selected"]["rows"] == {"instructions": 6}
    assert found["selected"]["dropped"] == {
        "category: prose": 1,
        "classification: complexity missing": 1,
        "classification: category missing": 2,
        "over recipe.selection.per_category: lists": 2,
    }
    kept = read_rows(Path(found["selected"]["path"]) / "instructions.jsonl", Instruction)
    assert {row.id for row in kept} < set(ids[:8])
    assert found["pairs"]["rows"] == {"constraints": 6} and found["splits"]["rows"]["d1"] == 4


def test_the_small_experiment_plans_two_iterations(tmp_path: Path) -> None:
    config = Composer().job(["experiment=self_taught_demo", f"store={tmp_path}"]).config
    stages = {stage.name: stage for stage in plan(config)}
    assert [name for name in stages if "iter" in name] == [
        f"{stage}/iter{number}" + "/starter" * (stage == "verdicts")
        for number in (1, 2)
        for stage in ("judgments", "demonstrations", "train", "verdicts")
    ]
    assert stages["judgments/iter1"].generations == 192 * 2 * 4
    assert "classes" not in stages and "train/dpo2" not in stages
