"""The whole recipe on a tiny model with a scripted sampler: counts equal a table worked out by hand."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from judgekit.data.constraints import constraint_instructions
from judgekit.data.splits import split_instructions
from judgekit.errors import StageError
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.losses.dpo import DpoLoss
from judgekit.planning import plan
from judgekit.prompts.additive import AdditivePrompt
from judgekit.prompts.meta_judge import MetaJudgePrompt
from judgekit.recipes.meta_rewarding import stages as stages_module
from judgekit.recipes.meta_rewarding.config import CollapseConfig, MetaConfig, MetaRewardingConfig
from judgekit.recipes.self_rewarding.config import IterationConfig, SeedDataConfig
from judgekit.rows import Demonstration, Preference, ResponsePair, read_rows
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
from judgekit.stages.models import Drawing
from judgekit.store import Workspace
from judgekit.weights import Weights
from tests.helpers import ScriptedSampler
from tests.training.tiny import make_model

SEED = 5
SIZES = {"held_out": 2, "validation": 0, "warm": 2, "d1": 4, "d2": 0}
STEP = OptimConfig(lr=1e-3, max_steps=1, epochs=1, batch_size=2, checkpoint_every=1)

# Scores of the three responses to each of the four prompts, three judgments each; "-" is a reply without one.
FIRST = [
    ["5 4.5 5", "1 1 2", "3 - 3"],
    ["4 4 4", "4 4 4", ""],  # the third response is the second's text again
    ["- - -", "5 5 5", "2 - -"],
    ["5 1 3", "5 5 5", "1 1 1"],  # the second one is too long
]
SECOND = [["5 5 5", "4.5 4.5 5", "1 1 1"]] * 4


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model", max_position_embeddings=2048)


def make_config(tiny: Path, store: Path, **recipe: Any) -> RunConfig:
    settings: dict[str, Any] = {
        "responses": 3,
        "judgments": 3,
        "min_valid": 2,
        "schedule": {
            "m1": IterationConfig(judge_pairs=True, rho=0.0, max_response_chars=99),
            "m2": IterationConfig(rho=0.1),
        },
        "seed_data": SeedDataConfig(ift=False, eft=False),
        "warm_start": WarmStartConfig(enabled=True, examples=2, plan_every=2, optim=STEP),
        "dpo": STEP,
        "meta": MetaConfig(prompt=MetaJudgePrompt("brief"), tokens=64, collapse=CollapseConfig(least=10)),
    }
    return RunConfig(
        name="tiny",
        seed=SEED,
        store=str(store),
        model=ModelConfig(name="tiny", path=str(tiny), dtype="float32", max_length=2048),
        data=DataConfig(
            sources={"constraints": SourceConfig(kind="constraints", pairs="written", count=8)},
            first_round=4, second_round=64, validation=0, held_out=2, response_tokens=32,
        ),
        prompt=AdditivePrompt(style="brief"),
        recipe=MetaRewardingConfig(**settings | recipe),
        loss=DpoLoss(),
        bias=BiasConfig(),
        sampler=HfConfig(judge_tokens=64, temperature=0.8),
        trainer=TrainerConfig(lora_rank=2, lora_alpha=4, max_tokens=2048, accelerator="cpu"),
        benchmark={"starter": BenchmarkConfig(kind="starter")},
        logger=LoggerConfig(table_rows=4),
    )  # fmt: skip


class Script:
    """Writes what the tables say, and remembers who was asked for what.

    :param fail_at: stop like a killed process once so many samples were drawn
    """

    def __init__(self, fail_at: int | None = None) -> None:
        splits = split_instructions({"constraints": constraint_instructions(8, SEED)}, SIZES, SEED)
        self.places = {row.id: place for place, row in enumerate(splits["d1"])}
        self.fail_at, self.sampled = fail_at, list[tuple[str, str, int, float]]()

    def __call__(self, weights: Weights) -> ScriptedSampler:
        name = weights.adapter.parent.parent.name if weights.adapter is not None else "seed"
        return ScriptedSampler(lambda request, sample: self.answer(name, request, sample), batch_size=3)

    def answer(self, judge: str, request: Request, sample: int) -> str:
        self.sampled.append((judge, request.id, sample, request.params.temperature))
        drawn = sum(temperature > 0 for *_, temperature in self.sampled)
        if self.fail_at is not None and drawn > self.fail_at:
            raise KeyboardInterrupt
        prompt, _, rest = request.id.partition("/")
        if request.params.temperature == 0:  # at evaluation: the response called A scores higher
            return f"Fine.\nScore: {4 if rest == 'a' else 3}"
        place, first = self.places[prompt], judge == "warm"
        if not rest:
            return self.respond(place, sample, first)
        if "#" in rest:
            return self.compare(place, rest)
        score = (FIRST if first else SECOND)[place][int(rest[1:])].split()[sample]
        return f"Judgment {sample}.\n" + (f"Score: {score}" if score != "-" else "No points.")

    def respond(self, place: int, sample: int, first: bool) -> str:
        if first and place == 1:
            sample = min(sample, 1)
        long = 150 if first and place == 3 and sample == 1 else 0
        return f"Response {sample}" + "x" * (long + {0: 30, 1: 10, 2: 20}[sample])

    def compare(self, place: int, rest: str) -> str:
        """0: the earlier judgment is better, 1 and 2: the first position, 3: the third one, else no winner."""
        samples, order = rest.partition("#")[2].split("/")
        one, two = map(int, samples.split("-"))
        winner = {0: one, 3: two if two == 2 else None}.get(place, one if order == "ab" else two)
        if winner is None:
            return "I cannot tell."
        return f"Hm.\nWinner: Judgement {'A' if (winner == one) == (order == 'ab') else 'B'}"


def stages(run_dir: Path) -> dict[str, dict[str, Any]]:
    manifest = json.loads((run_dir / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    return {stage["name"]: stage for stage in manifest["stages"]}


Run = tuple[RunConfig, Path, Script, dict[str, Any]]


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    config, script = make_config(tiny, folder / "store"), Script()
    return config, folder / "out", script, run_recipe(config, folder / "out", script)


def test_counts_equal_the_table_worked_out_by_hand(run: Run) -> None:
    found = stages(run[1])
    assert found["splits"]["rows"] == SIZES
    assert found["responses/m1"]["rows"] == {"prompts": 4, "responses": 11}
    assert found["responses/m1"]["dropped"] == {"identical response": 1}
    # 11 x 3 judgments; one of the first prompt and five of the third have no score
    assert found["point_judgments/m1"]["rows"] == {"responses": 11, "judgments": 33, "valid": 27}
    assert found["point_judgments/m1"]["dropped"] == {"judgment without a score: missing": 6}
    # 24.5 + 24 + 17 + 27 points
    assert found["point_judgments/m1"]["numbers"]["mean_score"] == pytest.approx(92.5 / 27)
    assert found["actor_pairs/m1"]["rows"] == {"pairs": 1}
    assert found["actor_pairs/m1"]["dropped"] == {
        "response with too few valid judgments": 2,
        "prompt whose responses all score the same": 1,
        "prompt with fewer than two scored responses": 1,
        "chosen response over max_response_chars": 1,
    }
    # three judgments of one response of each prompt, both orders; two comparisons name no winner
    assert found["comparisons/m1"]["rows"] == {"responses": 4, "comparisons": 24, "valid": 22}
    assert found["comparisons/m1"]["dropped"] == {"comparison without a winner: missing": 2}
    assert found["judge_pairs/m1"]["rows"] == {"pairs": 2}
    assert found["judge_pairs/m1"]["dropped"] == {"prompt whose judgments are equally strong": 2}
    assert found["preferences/m1"]["rows"] == {"preferences": 3}
    assert found["responses/m2"]["rows"] == {"prompts": 4, "responses": 12}
    assert found["point_judgments/m2"]["rows"] == {"responses": 12, "judgments": 36, "valid": 36}
    assert found["preferences/m2"]["rows"] == {"preferences": 4}
    assert "comparisons/m2" not in found and "judge_pairs/m2" not in found
    assert found["worked_scores"]["rows"] == {"demonstrations": 2 + 2 + 1}


def rows_of(run: Run, name: str) -> list[Preference]:
    return read_rows(Path(stages(run[1])[name]["path"]) / "rows.jsonl", Preference)


def test_training_rows_are_what_the_tables_choose(run: Run) -> None:
    prompts = {place: name for name, place in run[2].places.items()}
    actor, *judge = rows_of(run, "preferences/m1")
    assert actor.id == f"{prompts[0]}/r0-r1" and actor.chosen.startswith("Response 0")
    by_prompt = {row.id.partition("/")[0]: row for row in judge}
    # of largest variance: the second response of the first prompt, the first one of the last
    assert by_prompt[prompts[0]].id == f"{prompts[0]}/r1#0-2"
    assert by_prompt[prompts[0]].chosen == "Judgment 0.\nScore: 1"
    assert by_prompt[prompts[3]].id in (f"{prompts[3]}/r0#2-0", f"{prompts[3]}/r0#2-1")
    assert "Score the response from 0 to 5." in judge[0].prompt[-1]["content"]
    # the second iteration's upper tier reaches down to 4.6, and the shorter one of 4.67 is in it
    assert {row.id.partition("/")[2] for row in rows_of(run, "preferences/m2")} == {"r1-r2"}


def test_the_bias_report_equals_the_table(run: Run) -> None:
    first, second = json.loads((run[1] / "bias.json").read_text())
    assert (first["name"], second["name"], second["meta"]) == ("m1", "m2", None)
    meta, numbers = first["meta"], run[3]
    assert (meta["weights"]["first"], meta["weights"]["second"]) == (17, 5)
    assert meta["weights"]["omega1"] == pytest.approx(5 / 22)
    assert numbers["bias/m1/omega1"] + numbers["bias/m1/omega2"] == 1
    assert meta["first_position"]["value"] == pytest.approx(17 / 22)
    assert (meta["higher_score"]["value"], meta["higher_score"]["n"]) == (0.25, 8)
    assert (meta["equal_score_first"]["value"], meta["equal_score_first"]["n"]) == (pytest.approx(13 / 14), 14)
    assert meta["invalid"] == {"missing": 2} and first["scores"]["invalid"] == {"missing": 6}
    assert dict(map(tuple, first["scores"]["histogram"])) == {1.0: 6, 2.0: 2, 3.0: 3, 4.0: 6, 4.5: 1, 5.0: 9}
    assert first["scores"]["drift"] is None
    assert second["scores"]["drift"] == pytest.approx(32 / 9 - 92.5 / 27)
    assert numbers["bias/m2/chosen_response_chars"] == len("Response 1") + 10
    assert numbers["bias/m1/response_tokens"] > 0 and numbers["bias/m1/judgment_chars"] > 0
    assert len(first["collapsed"]) == 1 and "shown first in 92.9 % of 14" in first["collapsed"][0]
    notes = json.loads((run[1] / "manifest.json").read_text())["notes"]
    assert any("meta-judge of iteration m1 has collapsed" in note for note in notes)


def test_the_report_shows_it(run: Run) -> None:
    html = (run[1] / "report.html").read_text()
    assert "Judge and meta-judge" in html and "collapsed" in html
    assert "ω1" in html and "0.227" in html and "92.9" in html


def test_models_are_measured_as_judges_and_reward_models(run: Run) -> None:
    config, folder, script, numbers = run
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["judges"] == ["seed", "warm", "m1", "m2"]
    assert manifest["benchmarks"]["rankings"] == {"responses": 4}
    assert numbers["eval/m2/rankings/n"] == 4 and numbers["eval/m2/rankings/pairwise_accuracy"] in (0.0, 0.5, 1.0)
    assert numbers["eval/m2/starter/consistency"] == 1.0, "scores of single responses know no order"
    asked = Counter(name for judge, name, _, temperature in script.sampled if judge == "m2" and temperature == 0)
    assert set(asked.values()) == {1}, "ranked responses are those of the pairs: scored once"
    assert "protocol:\n  name: additive" in (folder / "judge" / "judge.yaml").read_text()
    assert numbers["train/m1/loss"] == pytest.approx(0.6931, abs=1e-3)


def test_each_iteration_trains_the_model_before_it(run: Run) -> None:
    found = stages(run[1])
    inputs = json.loads((Path(found["train/m2"]["path"]) / "stage.json").read_text())["inputs"]
    assert inputs[:2] == [found["preferences/m2"]["digest"], found["train/m1"]["digest"]]
    assert found["reference/m2"]["digest"] in inputs


def test_the_warm_start_shows_scores_comparisons_and_answers(run: Run) -> None:
    rows = read_rows(Path(stages(run[1])["worked_scores"]["path"]) / "rows.jsonl", Demonstration)
    assert [row.id.rpartition("/")[2] for row in rows] == ["score", "meta", "answer", "score", "meta"]
    assert rows[0].target.endswith("match.\nScore: 5") and "Winner: Judgement" in rows[1].target


def test_the_same_run_again_does_nothing(run: Run) -> None:
    config, folder, script, numbers = run
    sampled = len(script.sampled)
    assert run_recipe(config, folder, script) == numbers
    assert len(script.sampled) == sampled
    assert {stage["status"] for stage in stages(folder).values()} == {"reused"}
    planned = plan(config)
    assert [stage.name for stage in planned] == list(stages(folder)) and all(stage.stored for stage in planned)


class Later(Script):
    """The second iteration's table from the beginning."""

    def answer(self, judge: str, request: Request, sample: int) -> str:
        return super().answer("later" if judge == "warm" else judge, request, sample)


def test_a_sweep_over_rho_samples_nothing_before_training(run: Run, tmp_path: Path) -> None:
    recipe = replace(run[0].recipe, schedule={"m2": IterationConfig(rho=0.1)}, rankings=0)
    config = replace(run[0], recipe=recipe, store=str(tmp_path / "store"), benchmark={})
    lengths = []
    for rho in (0.0, 0.4):
        script, folder = Later(), tmp_path / f"rho{rho}"
        numbers = run_recipe(replace(config, bias=BiasConfig(rho=rho)), folder, script)
        lengths.append(numbers["bias/m2/chosen_response_chars"])
    assert lengths == [40, 20]
    assert not script.sampled and stages(folder)["point_judgments/m2"]["status"] == "reused"


def test_judge_training_stops_when_the_meta_judge_has_collapsed(run: Run, tmp_path: Path) -> None:
    config = run[0]
    schedule = {name: IterationConfig(judge_pairs=True, rho=0.0, max_response_chars=99) for name in ("m1", "m2")}
    meta = replace(config.recipe.meta, collapse=CollapseConfig(least=10, stop=True))  # type: ignore[union-attr]
    changed = replace(config, recipe=replace(config.recipe, schedule=schedule, meta=meta, rankings=0), benchmark={})
    run_recipe(changed, tmp_path / "out", Script())
    found = stages(tmp_path / "out")
    assert found["comparisons/m1"]["status"] == "reused"
    assert found["preferences/m1"]["rows"] == {"preferences": 1}
    assert "judge_pairs/m1" not in found and "comparisons/m2" not in found
    assert "comparisons/m2" in [stage.name for stage in plan(replace(changed, store=str(tmp_path / "empty")))]


def test_the_baseline_is_a_setting(run: Run, tmp_path: Path) -> None:
    schedule = {"m1": IterationConfig(rho=0.0, max_response_chars=99)}
    changed = replace(run[0], recipe=replace(run[0].recipe, schedule=schedule, rankings=0, reference="initial"))
    run_recipe(replace(changed, benchmark={}), tmp_path / "out", script := Script())
    found = stages(tmp_path / "out")
    assert found["preferences/m1"]["rows"] == {"preferences": 1}
    assert not any("meta" in name or "compar" in name for name in found) and not script.sampled


def test_an_interrupted_run_resumes_and_samples_nothing_twice(run: Run, tmp_path: Path) -> None:
    recipe = replace(run[0].recipe, schedule={"m1": run[0].recipe.schedule["m1"]}, rankings=0)  # type: ignore[union-attr]
    config = replace(run[0], store=str(tmp_path / "store"), recipe=recipe, benchmark={})
    first = Script(fail_at=12 + 33 + 10)  # among the comparisons
    with pytest.raises(KeyboardInterrupt):
        run_recipe(config, tmp_path / "out", first)
    second = Script()
    run_recipe(config, tmp_path / "out", second)
    assert not Counter(first.sampled[:-3]) & Counter(second.sampled)  # the interrupted batch itself is lost
    for name, file in (("preferences/m1", "rows.jsonl"), ("meta_bias/m1", "bias.json")):
        places = [Path(stages(folder)[name]["path"]) / file for folder in (run[1], tmp_path / "out")]
        assert places[0].read_bytes() == places[1].read_bytes()


def test_a_seed_that_writes_no_score_is_told_what_helps(run: Run, tmp_path: Path) -> None:
    class Mute(Script):
        def answer(self, judge: str, request: Request, sample: int) -> str:
            return super().answer(judge, request, sample).replace("Score:", "")

    config = replace(run[0], store=str(tmp_path / "store"), benchmark={}, recipe=replace(run[0].recipe, rankings=0))
    with pytest.raises(StageError, match="No preferences could be selected in iteration m1") as error:
        run_recipe(config, tmp_path / "out", Mute())
    assert "11 x response with too few valid judgments" in str(error.value) and "warm_start" in str(error.value)


def test_the_small_experiment_plans_two_iterations(tmp_path: Path) -> None:
    config = Composer().job(["experiment=meta_rewarding_demo", f"store={tmp_path}"]).config
    planned = {stage.name: stage for stage in plan(config)}
    assert [name for name in planned if name.startswith("train/")] == ["train/warm", "train/m1", "train/m2"]
    assert planned["point_judgments/m1"].generations == 64 * 5 * 3
    assert planned["comparisons/m2"].generations == 48 * 3 * 2


@pytest.mark.parametrize("strips", [False, True])
def test_the_meta_judge_is_shown_thoughts_unless_they_are_stripped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strips: bool
) -> None:
    """Neither of the response nor of the judgments of it."""
    shown: list[ResponsePair] = []

    def watch(model: object, protocol: object, pairs: list[ResponsePair], *more: object, **named: object) -> list[Any]:
        shown.extend(pairs)
        return []

    monkeypatch.setattr(stages_module, "compare", watch)
    text = "<think>weigh</think>said"
    judgment, candidate = SimpleNamespace(text=text), SimpleNamespace(instruction="ask", text=text)
    kept = SimpleNamespace(candidate=candidate, pairs=[("k", judgment, judgment)])
    found: Any = SimpleNamespace(find=lambda *made: SimpleNamespace(dropped={}, kept=[kept]))
    made: Any = SimpleNamespace(open=lambda: None)
    stage = stages_module.Comparisons(
        iteration="m1", responses=made, judgments=made, model=made, compared=found, prompt=MetaJudgePrompt(), tokens=8,
        drawing=Drawing(0.7, 0.9, 1, 1.0), strip_thoughts=strips,
    )  # fmt: skip
    stage.build(Workspace(tmp_path))
    (pair,) = shown
    texts = (pair.instruction, pair.response_a, pair.response_b)
    assert all("said" in one for one in texts)
    assert ["weigh" in one for one in texts] == 3 * [not strips]
