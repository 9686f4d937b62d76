"""Self-Rewarding from ranked conversations on: seed data, new prompts, one iteration, by tables worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from judgekit.errors import ConfigError, StageError
from judgekit.losses.dpo import DpoLoss
from judgekit.planning import plan
from judgekit.prompts.additive import AdditivePrompt
from judgekit.recipes.self_rewarding.config import IterationConfig, PromptsConfig, SeedDataConfig, SelfRewardingConfig
from judgekit.rows import Demonstration, Instruction, Preference, read_rows
from judgekit.runner import run_recipe
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.base import Request
from judgekit.schema.composition import Composer
from judgekit.schema.config import RunConfig
from judgekit.schema.data import DataConfig, SourceConfig
from judgekit.schema.models import ModelConfig
from judgekit.schema.optim import OptimConfig
from judgekit.schema.trainer import TrainerConfig
from judgekit.weights import Weights
from tests.helpers import ScriptedSampler
from tests.training.tiny import make_model

SEED = 3
STEP = OptimConfig(lr=1e-3, max_steps=1, epochs=1, batch_size=2, checkpoint_every=1)
TOPICS = ["rivers", "bread", "chess", "stars", "wool", "maps", "salt", "bees", "glass", "paper"]
REPLIES = {"good": 0, "fair": 1, "bad": 2}

# Scores of the good, fair and bad reply to each of the four prompts that IFT leaves, in the first and the second try.
TRIES = [("531", "531"), ("331", "541"), ("135", "333"), ("5-1", "-31")]

NEW = [
    "Request 3: Write a poem about the sea at night.",
    "Write a poem about the sea at night!",
    "Draw a picture of a cat for me.",
    "Hi there",
    "Explain why the moon has phases.",
]


def question(number: int) -> str:
    return f"Tell me all that you know about {TOPICS[number]}, number {number}"


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trees") / "trees.jsonl"
    rows = []
    for number in range(len(TOPICS)):
        replies = [
            {"message_id": f"t{number}-{name}", "text": f"{name} answer {number}", "role": "assistant", "rank": rank}
            for name, rank in REPLIES.items()
        ]
        prompt = {"message_id": f"t{number}", "text": question(number), "role": "prompter", "replies": replies}
        rows.append(json.dumps({"message_tree_id": f"t{number}", "prompt": prompt}))
    path.write_text("\n".join(rows))
    return path


@pytest.fixture(scope="module")
def config(trees: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    folder = tmp_path_factory.mktemp("self")
    recipe = SelfRewardingConfig(
        responses=2,
        judgments=2,
        schedule={"m2": IterationConfig()},
        prompts=PromptsConfig(
            source="self_instruct", count=2, seed_examples=2, new_examples=1, round_size=4, max_requests=8, tokens=64
        ),
        seed_data=SeedDataConfig(judgments=2, max_score_share=0.4, ift_count=4),
        sft=STEP,
        dpo=STEP,
    )
    return RunConfig(
        name="tiny",
        seed=SEED,
        store=str(folder / "store"),
        model=ModelConfig(
            name="tiny", path=str(make_model(folder / "model", max_position_embeddings=4096)), dtype="float32",
            max_length=4096,
        ),
        data=DataConfig(
            sources={"oasst": SourceConfig(kind="oasst", pairs="given", path=str(trees))},
            first_round=8, second_round=0, validation=0, held_out=2, response_tokens=32,
        ),
        prompt=AdditivePrompt(style="brief"),
        recipe=recipe,
        loss=DpoLoss(),
        sampler=HfConfig(judge_tokens=64, temperature=0.7),
        trainer=TrainerConfig(lora_rank=2, lora_alpha=4, max_tokens=2048, accelerator="cpu"),
        benchmark={},
    )  # fmt: skip


class Script:
    def __init__(self) -> None:
        self.places, self.asked = dict[str, int](), list[tuple[str, str]]()

    def __call__(self, weights: Weights) -> ScriptedSampler:
        name = weights.adapter.parent.parent.name if weights.adapter is not None else "seed"
        return ScriptedSampler(lambda request, sample: self.answer(name, request, sample))

    def answer(self, model: str, request: Request, sample: int) -> str:
        self.asked.append((model, request.id))
        name = request.id
        if request.params.temperature == 0:
            return f"Fine.\nScore: {5 - 2 * REPLIES[name.partition('-')[2]]}"
        if name.startswith("new-"):
            if "/" in name:
                return f"So so.\nScore: {4.5 if name.endswith('r0') else 2}"
            if model == "seed":
                return NEW[sample] if sample < len(NEW) else "Name a few good films about trains."
            return f"Answer {sample} to {name}"
        tree, _, reply = name.removeprefix("oasst/").partition("-")
        score = TRIES[self.places.setdefault(tree, len(self.places))][sample][REPLIES[reply]]
        return f"Judgment {sample} of {name}.\n" + (f"Score: {score}" if score != "-" else "None.")


@pytest.fixture(scope="module")
def run(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Script, dict[str, Any]]:
    folder, script = tmp_path_factory.mktemp("out"), Script()
    return folder, script, run_recipe(config, folder, script)


def stages(folder: Path) -> dict[str, dict[str, Any]]:
    return {stage["name"]: stage for stage in json.loads((folder / "manifest.json").read_text())["stages"]}


Run = tuple[Path, Script, dict[str, Any]]


def test_seed_data_equal_the_tables(run: Run) -> None:
    found = stages(run[0])
    assert found["pairs"]["rows"] == {} and found["splits"]["rows"]["d1"] == 8
    assert found["rankings"]["rows"] == {
        "d1 groups": 8, "d1 responses": 24, "held_out groups": 2, "held_out responses": 6,
    }  # fmt: skip
    assert found["demonstrations/ift"]["rows"] == {"demonstrations": 4}
    assert found["seed_judgments"]["rows"] == {"responses": 12, "judgments": 24, "valid": 22}
    # the first group agrees at once, the second at the second try; scores 5 3 1 and 5 4 1, of which 5 and 1 are cut
    # to one each by a share of 0.4: two of five would be just that, so nothing is cut
    assert found["demonstrations/eft"]["dropped"] == {
        "group whose scores never order it as people do": 1,
        "group without a valid judgment of every response": 1,
    }
    assert found["demonstrations/eft"]["rows"] == {
        "demonstrations": 6, "score 1": 2, "score 3": 1, "score 4": 1, "score 5": 2,
    }  # fmt: skip
    assert found["demonstrations/seed_data"]["rows"] == {"demonstrations": 10}
    rows = read_rows(Path(found["demonstrations/ift"]["path"]) / "rows.jsonl", Demonstration)
    assert all(row.target.startswith("good answer") for row in rows)
    judged = read_rows(Path(found["demonstrations/eft"]["path"]) / "rows.jsonl", Demonstration)
    assert {row.target.split()[1] for row in judged} == {"0", "1"}


def test_no_prompt_is_for_both_instruction_and_evaluation_tuning(run: Run) -> None:
    """The judge is not trained on scores of responses to prompts whose best response it was trained to give."""
    found, script = stages(run[0]), run[1]
    rows = read_rows(Path(found["demonstrations/ift"]["path"]) / "rows.jsonl", Demonstration)
    shown = {row.id.removeprefix("oasst/").partition("-")[0] for row in rows}
    assert len(shown) == len(script.places) == 4 and not shown & set(script.places)
    judged = read_rows(Path(found["demonstrations/eft"]["path"]) / "rows.jsonl", Demonstration)
    assert {row.id.removeprefix("oasst/").partition("-")[0] for row in judged} < set(script.places)


def test_seed_data_that_leave_nothing_to_evaluate_are_refused(config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="takes all 64 instructions of D1, and evaluation tuning needs others"):
        Composer().job(["recipe=self_rewarding", "recipe.seed_data.ift_count=64"])
    wanted = replace(config.recipe, seed_data=SeedDataConfig(ift_count=8))  # type: ignore[type-var]
    data = replace(config.data, first_round=None)
    changed = replace(config, data=data, recipe=wanted, store=str(tmp_path / "store"))
    with pytest.raises(StageError, match="takes all instructions of D1, and evaluation tuning needs others"):
        run_recipe(changed, tmp_path / "out", Script())


def test_the_baseline_writes_the_judgments(run: Run) -> None:
    folder, script, _ = run
    writers = {model for model, name in script.asked if name.startswith("oasst/t") and "-" in name}
    assert writers == {"ift", "seed", "m1", "m2"}, "ift writes seed data, the others are measured on held-out replies"
    assert json.loads((folder / "manifest.json").read_text())["judges"] == ["seed", "m1", "m2"]
    inputs = json.loads((Path(stages(folder)["train/m1"]["path"]) / "stage.json").read_text())["inputs"]
    assert stages(folder)["train/ift"]["digest"] not in inputs, "M1 is trained from the seed"


def test_checkpoints_are_chosen_by_judging_the_validation_split(config: RunConfig, tmp_path: Path) -> None:
    """The judge is right about the pair after the first of three checkpoints, and never again."""

    class Judging(Script):
        scored = 0

        def answer(self, model: str, request: Request, sample: int) -> str:
            if request.params.temperature == 0 and request.id[-2:] in ("/a", "/b"):
                self.scored += 1
                good = "good answer" in tokenizer.decode(request.prompt_ids)
                return f"Score: {4 if good == (self.scored <= 2) else 2}"
            return super().answer(model, request, sample)

    tokenizer = AutoTokenizer.from_pretrained(str(config.model.path))
    recipe = replace(
        config.recipe,
        validate=True,
        rankings=0,
        seed_data=SeedDataConfig(eft=False),
        schedule={"m2": IterationConfig()},
        sft=replace(STEP, max_steps=3, epochs=3),
    )  # type: ignore[type-var]
    data = replace(config.data, validation=1, first_round=7)
    script = Judging()
    run_recipe(replace(config, data=data, recipe=recipe, store=str(tmp_path / "store")), tmp_path / "out", script)
    assert stages(tmp_path / "out")["train/m1"]["rows"]["chosen_step"] == 1
    assert script.scored == 2 * (3 + 1), "both responses, by every checkpoint of M1 and the one of M2"


def test_new_prompts_are_filtered(run: Run) -> None:
    found = stages(run[0])["new_prompts"]
    assert found["rows"] == {"requests": 8, "prompts": 2}
    assert found["dropped"] == {
        "new prompt: like an earlier one": 1,
        "new prompt: keyword": 1,
        "new prompt: too short": 1,
    }
    rows = read_rows(Path(found["path"]) / "prompts.jsonl", Instruction)
    assert [row.text for row in rows] == ["Write a poem about the sea at night.", "Explain why the moon has phases."]
    assert [row.id for row in rows] == ["new-0", "new-4"]


def test_best_against_worst(run: Run) -> None:
    folder, _, numbers = run
    rows = read_rows(Path(stages(folder)["preferences/m2"]["path"]) / "rows.jsonl", Preference)
    assert [(row.id, row.chosen[:8], row.rejected[:8]) for row in rows] == [
        ("new-0/r0-r1", "Answer 0", "Answer 1"),
        ("new-4/r0-r1", "Answer 0", "Answer 1"),
    ]
    assert numbers["bias/m2/mean_score"] == 3.25 and "bias/m2/omega1" not in numbers


def test_reward_model_metrics_on_held_out_rankings(run: Run) -> None:
    numbers = run[2]
    for name in ("pairwise_accuracy", "exact_match", "five_best", "text_spearman", "text_kendall"):
        assert numbers[f"eval/m2/rankings/{name}"] == pytest.approx(1.0)
    assert numbers["eval/m2/rankings/n"] == 6


def test_planning_names_every_stage(run: Run, config: RunConfig) -> None:
    planned = plan(config)
    assert [stage.name for stage in planned] == list(stages(run[0])) and all(stage.stored for stage in planned)


def test_the_small_experiment_plans_two_iterations(tmp_path: Path) -> None:
    config = Composer().job(["experiment=self_rewarding_demo", f"store={tmp_path}"]).config
    names = [stage.name for stage in plan(config)]
    assert [name for name in names if name.startswith("train/")] == ["train/warm", "train/m2", "train/m3"]
    assert not any("comparisons" in name or "eft" in name for name in names)


def test_impossible_combinations_are_reported_at_once() -> None:
    overrides = [
        "recipe=self_rewarding", "prompt=evalplanner", "loss=sft", "sampler.temperature=0", "recipe.min_valid=4",
        "recipe.schedule.m2.judge_pairs=true", "recipe.prompts.source=self_instruct", "recipe.prompts.max_requests=1",
    ]  # fmt: skip
    with pytest.raises(ConfigError) as error:
        Composer().job(overrides)
    assert {problem.key for problem in error.value.problems} == {
        "prompt.name", "loss.name", "sampler.temperature", "recipe.min_valid", "recipe.schedule.m2.judge_pairs",
        "recipe.prompts.max_requests",
    }  # fmt: skip
    with pytest.raises(ConfigError) as error:
        Composer().job(
            [
                "recipe=meta_rewarding",
                "prompt=rating",
                "recipe.warm_start.enabled=true",
                "recipe.judgments=1",
                "recipe.warm_start.examples=8",
            ]
        )
    assert {problem.key for problem in error.value.problems} == {"recipe.warm_start.enabled", "recipe.judgments"}


def test_a_source_of_trees_says_what_is_wrong(config: RunConfig, tmp_path: Path) -> None:
    from judgekit.data.sources import load_source
    from judgekit.errors import DataError

    path = tmp_path / "bad.jsonl"
    path.write_text('{"prompt": {"message_id": "x", "text": "ask", "role": "prompter", "replies": [{"text": 1}]}}')
    with pytest.raises(DataError, match="every message needs message_id"):
        load_source(replace(config.data.sources["oasst"], path=str(path)), 0)
