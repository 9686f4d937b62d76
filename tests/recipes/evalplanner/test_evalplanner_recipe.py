"""The whole recipe on a tiny model with a scripted sampler: counts equal a table worked out by hand."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from judgekit.data.constraints import constraint_instructions
from judgekit.data.pairs import build_pairs
from judgekit.data.splits import split_instructions
from judgekit.errors import StageError
from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.losses.dpo import DpoLoss
from judgekit.losses.ipo import IpoLoss
from judgekit.losses.sft import SftLoss
from judgekit.planning import plan
from judgekit.prompts.evalplanner import EvalPlanner, EvalPlannerPrompt
from judgekit.recipes.evalplanner.config import EvalPlannerConfig
from judgekit.rows import ORDERS, Demonstration, Preference, read_rows
from judgekit.run_results import run_cost
from judgekit.runner import run_recipe
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.base import Generation, Request
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
SIZES = {"held_out": 2, "validation": 0, "warm": 2, "d1": 2, "d2": 2}
STEP = OptimConfig(lr=1e-3, max_steps=1, epochs=1, batch_size=2, checkpoint_every=1)

# Replies by instruction, plan, order: R right, W wrong, M no verdict, B both verdicts, C right but cut off after it.
SCRIPT: dict[str, dict[tuple[int, str], str]] = {
    "d1-0": {(0, "ab"): "RW", (0, "ba"): "RR", (1, "ab"): "WM", (1, "ba"): "BW"},
    "d1-1": {(0, "ab"): "WW", (0, "ba"): "WC", (1, "ab"): "WW", (1, "ba"): "WW"},
    # The first plan of this one never ends, see below.
    "d2-0": {(1, "ab"): "RR", (1, "ba"): "WR"},
    "d2-1": {(0, "ab"): "RR", (0, "ba"): "RR", (1, "ab"): "RR", (1, "ba"): "RR"},
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model", max_position_embeddings=2048)


def make_config(tiny: Path, store: Path, **recipe: Any) -> RunConfig:
    settings = {"plans": 2, "executions": 2, "validate": False, "sft": STEP, "dpo": STEP} | recipe
    return RunConfig(
        name="tiny",
        seed=SEED,
        store=str(store),
        model=ModelConfig(name="tiny", path=str(tiny), dtype="float32", max_length=2048),
        data=DataConfig(
            sources={"constraints": SourceConfig(kind="constraints", pairs="written", count=8)},
            first_round=2,
            second_round=2,
            validation=0,
            held_out=2,
        ),
        prompt=EvalPlannerPrompt(style="brief"),
        recipe=EvalPlannerConfig(
            first_execution="prefill",
            second_plans="prompt",
            warm_start=WarmStartConfig(enabled=True, examples=2, plan_every=0, optim=STEP),
            **settings,
        ),
        sampler=HfConfig(plan_tokens=64, execution_tokens=128, judge_tokens=64),
        trainer=TrainerConfig(lora_rank=2, lora_alpha=4, max_tokens=2048, accelerator="cpu"),
        benchmark={"starter": BenchmarkConfig(kind="starter"), "llmbar": BenchmarkConfig(kind="llmbar", path=None)},
        logger=LoggerConfig(table_rows=4),
    )


class Script(ScriptedSampler):
    """Writes what SCRIPT says; knows requests by their ids."""

    def __init__(self) -> None:
        super().__init__(batch_size=3)
        rows = constraint_instructions(8, SEED)
        splits = split_instructions({"constraints": rows}, SIZES, SEED)
        self.names = {row.id: f"{split}-{place}" for split, rows in splits.items() for place, row in enumerate(rows)}
        written = SourceConfig(kind="constraints", pairs="written")
        pairs = build_pairs(rows, written, DataConfig(), seed=SEED, ask=dict, verify=list, drop=print)
        self.labels = {pair.id: str(pair.label) for pair in pairs}
        self.sampled: list[tuple[str, int]] = []

    def _generate(self, request: Request, sample: int, mark: str) -> Generation:
        self.sampled.append((request.id, sample))
        text, finish = self.answer(request.id, sample)
        return Generation(text, tuple(text.encode()), finish, prompt_tokens=len(request.prompt_ids))

    def answer(self, request: str, sample: int) -> tuple[str, Any]:
        pair, *rest = request.split("/")
        if not rest:
            if self.names[pair] == "d2-0" and sample == 0:
                return "a plan that never ends", "length"
            return f"Requirement number {sample}.\n", "stop"
        order = rest[0]
        if len(rest) == 1:  # a judge at evaluation: always the first position
            return "[Final Verdict]\n[[A]]", "eos"
        kind = SCRIPT[self.names[pair]][int(rest[1]), order][sample % 100_000]
        first = (self.labels[pair] == "A") == (order == "ab")
        position = {"R": "AB"[not first], "C": "AB"[not first], "W": "AB"[first], "M": "", "B": "A]] or [[B"}[kind]
        verdict = f"[[{position}]]" if position else "undecided"
        return (
            f"Chain {kind} {sample}.\n[End of Plan Execution]\n[Final Verdict]\n{verdict}",
            "length" if kind == "C" else "eos",
        )


def stages(run_dir: Path) -> dict[str, dict[str, Any]]:
    manifest = json.loads((run_dir / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    return {stage["name"]: stage for stage in manifest["stages"]}


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunConfig, Path, Script, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("run")
    config, script = make_config(tiny, folder / "store"), Script()
    numbers = run_recipe(config, folder / "out", lambda weights: script)
    return config, folder / "out", script, numbers


def test_counts_equal_the_table_worked_out_by_hand(run: tuple[RunConfig, Path, Script, dict[str, Any]]) -> None:
    found = stages(run[1])
    assert found["splits"]["rows"] == SIZES
    # 2 instructions x 2 plans x 2 orders x 2 executions; R and W have verdicts: 5 + 7 of 8 each
    assert found["chains/d1"]["rows"] == {"instructions": 2, "plans": 4, "chains": 16, "valid": 13}
    assert found["chains/d1"]["dropped"] == {
        "chain without a verdict: missing": 1,
        "chain without a verdict: truncated": 1,
        "chain without a verdict: ambiguous": 1,
    }
    assert found["demonstrations/d1"]["rows"] == {"demonstrations": 1}
    # d1-0: plan 0 in order ab has R and W: one pair. Its other cells lack one side. d1-1 is never right.
    assert found["preferences/d1"]["rows"] == {"preferences": 1}
    assert found["preferences/d1"]["dropped"] == {"instruction without a correct chain": 1}
    # d2-0: one plan was cut off, so 1 x 2 x 2; d2-1: 2 x 2 x 2
    assert found["chains/d2"]["rows"] == {"instructions": 2, "plans": 3, "chains": 12, "valid": 12}
    assert found["chains/d2"]["dropped"] == {"plan truncated": 1}
    assert found["preferences/d2"]["rows"] == {"preferences": 1}
    assert found["preferences/d2"]["dropped"] == {
        "instruction whose plans never gave both a right and a wrong chain": 1
    }
    # Of all pairs, of which there are 8; a single training pair can be split into no folds.
    assert found["cues/pairs"]["rows"] == {"pairs": 8} and run[3]["cues/pairs/n"] == 8
    assert found["cues/dpo1"]["rows"] == found["cues/dpo2"]["rows"] == {"pairs": 1}
    assert "cues/dpo1/n" not in run[3] and 0 <= run[3]["cues/pairs/length"] <= 1
    # 4 plans and 16 executions; equal plans of one instruction would still give distinct samples
    assert found["chains/d1"]["generations"] == {"sampled": 20, "cached": 0}
    assert found["verdicts/seed/starter"]["rows"] == {"verdicts": 4, "invalid": 0}


def test_kept_generations_say_whose_they_are(run: tuple[RunConfig, Path, Script, dict[str, Any]]) -> None:
    about = sorted(path.read_text().strip() for path in Path(run[0].store).glob("generations/*/about.txt"))
    seed, *trained = sorted(about, key=len)
    assert seed == "tiny, float32, hf"
    digests = [f"train/{name}/{stages(run[1])[f'train/{name}']['digest']}" for name in ("warm", "sft", "dpo1", "dpo2")]
    assert set(trained) <= {f"tiny + {stage}, float32, hf" for stage in digests} and trained


def test_a_pair_shares_its_plan_and_prompt(run: tuple[RunConfig, Path, Script, dict[str, Any]]) -> None:
    stage = stages(run[1])["preferences/d1"]
    (row,) = read_rows(Path(stage["path"]) / "rows.jsonl", Preference)
    head = "[Start of Evaluation Plan]\nRequirement number 0.\n[End of Evaluation Plan]\n[Start of Plan Execution]\n"
    assert row.chosen.startswith(head + "Chain R 0.") and row.rejected.startswith(head + "Chain W 1.")
    assert "[The Start of Assistant A's Answer]" in row.prompt[-1]["content"]


def test_files_of_a_run(run: tuple[RunConfig, Path, Script, dict[str, Any]]) -> None:
    config, folder, _, numbers = run
    for name in ("config.yaml", "metrics.json", "metrics.jsonl", "report.html", "judge/judge.yaml"):
        assert (folder / name).is_file(), name
    assert (folder / "judge" / "adapter_model.safetensors").is_file()
    assert len((folder / "verdicts" / "dpo2.starter.jsonl").read_text().splitlines()) == 4
    assert json.loads((folder / "metrics.json").read_text()) == numbers
    # A judge that always names the first position is right in one order of every pair and never in both.
    assert numbers["eval/dpo2/starter/accuracy"] == 0.5
    assert numbers["eval/dpo2/starter/consistent_accuracy"] == 0.0
    assert numbers["eval/dpo2/starter/first_position_rate"] == 1.0
    assert numbers["train/dpo1/loss"] == pytest.approx(0.6931, abs=1e-3)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["judges"] == ["seed", "warm", "sft", "dpo1", "dpo2"]
    assert manifest["benchmarks"]["llmbar"] == {"left_out": "no path given"}
    assert "Benchmark llmbar is left out" in manifest["notes"][0]
    assert config.seed == manifest["seed"]


def no_sampling(weights: Weights) -> ScriptedSampler:
    def refuse(request: Request, sample: int) -> str:
        raise AssertionError(f"{request.id} was sampled again")

    return ScriptedSampler(refuse)


def test_the_same_run_again_does_nothing(run: tuple[RunConfig, Path, Script, dict[str, Any]]) -> None:
    config, folder, _, numbers = run
    before = {path: path.read_bytes() for path in folder.rglob("*.jsonl") if path.name != "metrics.jsonl"}
    assert run_recipe(config, folder, no_sampling) == numbers
    assert {stage["status"] for stage in stages(folder).values()} == {"reused"}
    assert {path: path.read_bytes() for path in before} == before
    assert all(stage.stored for stage in plan(config))


class Prompted(Script):
    """SCRIPT on the recipe's own path: executions by the execution prompt on D1, plans out of whole chains on D2."""

    def __init__(self, tiny: Path) -> None:
        super().__init__()
        self.tokenizer = AutoTokenizer.from_pretrained(tiny)
        self.prompts: dict[str, str] = {}

    def _generate(self, request: Request, sample: int, mark: str) -> Generation:
        self.prompts[request.id] = self.tokenizer.decode(request.prompt_ids)
        pair, *rest = request.id.split("/")
        if len(rest) != 1 or "[End of Evaluation Plan]" not in request.params.stop:
            return super()._generate(request, sample, mark)
        # A judge begins a whole chain, which stops where its plan ends.
        self.sampled.append((request.id, sample))
        cut = self.names[pair] == "d2-0" and sample == 0
        text = f"[Start of Evaluation Plan]\nSeen in {rest[0]}, plan {sample}.\n"
        return Generation(text, tuple(text.encode()), "length" if cut else "stop", prompt_tokens=1)

    def answer(self, request: str, sample: int) -> tuple[str, Any]:
        text, finish = super().answer(request, sample)
        if request.count("/") == 2 and self.names[request.split("/")[0]].startswith("d1"):
            # A reply to the execution prompt has no sections.
            text = text.replace("[End of Plan Execution]\n[Final Verdict]\n", "")
        return text, finish


def test_the_default_path_executes_by_prompt_and_takes_plans_from_chains(tiny: Path, tmp_path: Path) -> None:
    by_itself = EvalPlannerConfig()
    assert (by_itself.first_execution, by_itself.second_plans) == ("prompt", "chain")
    config = make_config(tiny, tmp_path / "store")
    start = replace(config.recipe.warm_start, plan_every=1)  # type: ignore[union-attr]
    recipe = replace(config.recipe, first_execution="prompt", second_plans="chain", warm_start=start)  # type: ignore[type-var]
    script = Prompted(tiny)
    run_recipe(replace(config, recipe=recipe, benchmark={}), tmp_path / "out", lambda weights: script)
    found = stages(tmp_path / "out")

    # The same table as the other path's, since the same chains are right and wrong
    assert found["chains/d1"]["rows"] == {"instructions": 2, "plans": 4, "chains": 16, "valid": 13}
    assert found["preferences/d1"]["rows"] == {"preferences": 1}
    assert found["chains/d2"]["rows"] == {"instructions": 2, "plans": 3, "chains": 12, "valid": 12}
    assert found["chains/d2"]["dropped"] == {"plan truncated": 1}
    assert found["preferences/d2"]["rows"] == {"preferences": 1}

    # What is learned from replies to the execution prompt is a whole chain on the judge prompt.
    (row,) = read_rows(Path(found["preferences/d1"]["path"]) / "rows.jsonl", Preference)
    head = "[Start of Evaluation Plan]\nRequirement number 0.\n[End of Evaluation Plan]\n[Start of Plan Execution]\n"
    right, wrong = (row.chosen[-5:], row.rejected[-5:])
    assert {right, wrong} == {"[[A]]", "[[B]]"}
    assert row.chosen == f"{head}Chain R 0.\n[End of Plan Execution]\n[Final Verdict]\n{right}"
    assert row.rejected == f"{head}Chain W 1.\n[End of Plan Execution]\n[Final Verdict]\n{wrong}"
    assert "Requirement number 0." not in row.prompt[-1]["content"]
    names = {name: pair for pair, name in script.names.items()}
    executed = script.prompts[f"{names['d1-0']}/ab/0"]
    assert "Follow the plan." in executed and executed.count("Requirement number 0.") == 1
    assert "[The Start of Evaluation Plan]\nRequirement number 0.\n[The End of Evaluation Plan]" in executed

    # Orders take turns in giving plans, whose executions go on after them in both orders.
    begun = [item for item in script.sampled if item[0].count("/") == 1]
    assert sorted(begun) == sorted((f"{names[f'd2-{n}']}/{order}", k) for n in (0, 1) for k, order in enumerate(ORDERS))
    assert script.prompts[f"{names['d2-1']}/ba/0"].endswith(
        "[Start of Evaluation Plan]\nSeen in ab, plan 0.\n[End of Evaluation Plan]\n[Start of Plan Execution]\n"
    )
    worked = read_rows(Path(found["worked_chains"]["path"]) / "rows.jsonl", Demonstration)
    shown = [row for row in worked if row.id.endswith("/execution")]
    assert len(worked) == 6 and len(shown) == 2, "two judgments, their plans, their executions"
    assert all("[The Start of Evaluation Plan]" in row.prompt[-1]["content"] for row in shown)
    assert all(EvalPlanner(config.prompt).read(row.target, False).verdict for row in shown)  # type: ignore[arg-type]


def test_the_small_set_up_can_go_the_same_way(tmp_path: Path) -> None:
    modes = {}
    for name, ablation in (("demo", []), ("prompted", ["ablation=evalplanner/prompted"])):
        config = Composer().job(["experiment=demo", f"store={tmp_path}", *ablation]).config
        assert isinstance(config.recipe, EvalPlannerConfig) and config.recipe.warm_start.plan_every > 0
        modes[name] = (config.recipe.first_execution, config.recipe.second_plans)
        assert {"worked_chains", "chains/d1", "chains/d2", "train/dpo2"} <= {stage.name for stage in plan(config)}
    assert modes == {"demo": ("prefill", "prompt"), "prompted": ("prompt", "chain")}


def test_a_sweep_over_beta_samples_nothing_before_training(
    run: tuple[RunConfig, Path, Script, dict[str, Any]], tmp_path: Path
) -> None:
    script = Script()
    run_recipe(replace(run[0], loss=DpoLoss(beta=0.5)), tmp_path / "beta", lambda weights: script)
    found = stages(tmp_path / "beta")
    names = list(found)
    assert {found[name]["status"] for name in names[: names.index("train/dpo1")]} == {"reused"}
    assert found["train/dpo1"]["status"] == "computed"


def test_a_sweep_over_beta_and_loss_computes_the_reference_once(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from judgekit.training import reference

    calls: list[int] = []
    compute: Callable[..., Any] = reference.reference_logps
    monkeypatch.setattr(reference, "reference_logps", lambda *args: calls.append(1) or compute(*args))
    config = make_config(tiny, tmp_path / "store", rounds=1)
    losses = [DpoLoss(beta=beta) for beta in (0.05, 0.1, 0.3, 0.5)] + [IpoLoss(beta=0.2)]
    built, script = [], Script()
    for number, loss in enumerate(losses):
        run_recipe(replace(config, loss=loss), tmp_path / str(number), lambda weights: script)
        built.append(stages(tmp_path / str(number)))
    assert [found["reference/dpo1"]["status"] for found in built] == ["computed"] + ["reused"] * 4
    assert len({found["reference/dpo1"]["digest"] for found in built}) == 1
    assert {found["train/dpo1"]["status"] for found in built} == {"computed"}
    assert built[0]["reference/dpo1"]["rows"] == {"pairs": 1}
    assert len(calls) == 1, "training takes the stage's file and computes none itself"
    assert len(chains_of(script)) == built[0]["chains/d1"]["generations"]["sampled"] == 20, "five values, one sampling"


def chains_of(script: Script) -> list[tuple[str, int]]:
    """Plans and chains a script was asked for; what judges say at evaluation has ids of two parts."""
    return [item for item in script.sampled if item[0].count("/") != 1]


class Wide(Script):
    """Any number of plans and executions, right and wrong by turns."""

    def answer(self, request: str, sample: int) -> tuple[str, Any]:
        pair, *rest = request.split("/")
        if len(rest) < 2:
            return ("A plan.\n", "stop") if not rest else super().answer(request, sample)
        right = (int(rest[1]) + sample) % 2 == 0
        verdict = "AB"[((self.labels[pair] == "A") == (rest[0] == "ab")) is not right]
        return f"Chain {sample}.\n[End of Plan Execution]\n[Final Verdict]\n[[{verdict}]]", "eos"


def test_a_grid_of_plans_and_executions_costs_its_largest_point(tiny: Path, tmp_path: Path) -> None:
    config = replace(make_config(tiny, tmp_path / "store"), loss=SftLoss(), benchmark={})
    script = Wide()
    for plans, executions in itertools.product((1, 2, 3), repeat=2):
        point = replace(config, recipe=replace(config.recipe, plans=plans, executions=executions))
        folder = tmp_path / f"{plans}-{executions}"
        run_recipe(point, folder, lambda weights: script)
        drawn = stages(folder)["chains/d1"]["generations"]
        assert sum(drawn.values()) == 2 * plans * (1 + 2 * executions)
    drawn_all = chains_of(script)
    assert len(drawn_all) == len(set(drawn_all)) == 2 * 3 * (1 + 2 * 3)


def test_what_a_point_costs_does_not_depend_on_the_order_of_a_grid(tiny: Path, tmp_path: Path) -> None:
    """Nor on what the store held: it is what its generations took, as counted in the cache."""
    points = list(itertools.product((1, 2, 3), repeat=2))
    costs: list[dict[tuple[int, int], tuple[float, float]]] = []
    for order in (points, points[::-1]):
        root = tmp_path / str(len(costs))
        config = replace(make_config(tiny, root / "store"), loss=SftLoss(), benchmark={})
        costs.append({})
        for plans, executions in order:
            point = replace(config, recipe=replace(config.recipe, plans=plans, executions=executions))
            run_recipe(point, root / f"{plans}-{executions}", lambda weights: Wide())
            manifest = json.loads((root / f"{plans}-{executions}" / "manifest.json").read_text())
            cost = run_cost(manifest)
            costs[-1][plans, executions] = cost["cost/prompt_tokens"], cost["cost/generated_tokens"]
    assert costs[0] == costs[1]
    for (plans, executions), cost in costs[0].items():
        for more in ((plans + 1, executions), (plans, executions + 1)):
            assert more not in costs[0] or all(a > b for a, b in zip(costs[0][more], cost, strict=True))
    # The largest point rests on everything that was ever drawn for chains.
    held = [json.loads(line[9:]) for file in (tmp_path / "0").rglob("*.seg") for line in file.read_text().splitlines()]
    prompt, generated = costs[0][3, 3]
    assert sum(row["prompt_tokens"] for row in held) == prompt
    assert sum(len(row["token_ids"]) for row in held) == generated


def test_fewer_plans_sample_nothing(
    run: tuple[RunConfig, Path, Script, dict[str, Any]], tmp_path: Path, tiny: Path
) -> None:
    config = make_config(tiny, Path(run[0].store), plans=1, rounds=1)
    run_recipe(config, tmp_path / "small", only(lambda request: request.id.count("/") == 1))
    drawn = stages(tmp_path / "small")["chains/d1"]["generations"]
    assert drawn == {"sampled": 0, "cached": 2 * 1 * (1 + 2 * 2)}


def test_a_single_execution_gives_no_contrast_and_says_so(
    run: tuple[RunConfig, Path, Script, dict[str, Any]], tmp_path: Path, tiny: Path
) -> None:
    config = make_config(tiny, Path(run[0].store), executions=1)
    with pytest.raises(StageError, match="No preferences could be selected from the chains of d1") as error:
        run_recipe(config, tmp_path / "single", only(lambda request: request.id.count("/") == 1))
    assert "1 x instruction without a correct chain" in str(error.value)
    manifest = json.loads((tmp_path / "single" / "manifest.json").read_text())
    assert manifest["status"] == "failed" and "No preferences" in manifest["error"]
    chains = next(stage for stage in manifest["stages"] if stage["name"] == "chains/d1")
    assert chains["generations"]["sampled"] == 0


def test_verdicts_alone_are_learned_from_the_same_chains(
    run: tuple[RunConfig, Path, Script, dict[str, Any]], tmp_path: Path, tiny: Path
) -> None:
    config = make_config(tiny, Path(run[0].store), rounds=1, learn="verdict")
    run_recipe(config, tmp_path / "bare", only(lambda request: request.id.count("/") == 1))
    found = stages(tmp_path / "bare")
    assert found["chains/d1"]["digest"] == stages(run[1])["chains/d1"]["digest"]
    # d1-0 has right and wrong verdicts in both orders, d1-1 is never right.
    assert found["demonstrations/d1"]["rows"] == {"demonstrations": 1}
    rows = read_rows(Path(found["preferences/d1"]["path"]) / "rows.jsonl", Preference)
    assert [{row.chosen, row.rejected} for row in rows] == [{"[Final Verdict]\n[[A]]", "[Final Verdict]\n[[B]]"}] * 2
    assert rows[0].chosen != rows[1].chosen, "the better response stands first in one order and last in the other"


def only(allowed: Callable[[Request], bool]) -> Callable[[Weights], ScriptedSampler]:
    """A script that may judge (new judges do) but not sample chains."""

    class Limited(Script):
        def _generate(self, request: Request, sample: int, mark: str) -> Generation:
            assert allowed(request), request.id
            return super()._generate(request, sample, mark)

    return lambda weights: Limited()


def test_planning_names_every_stage_of_the_run(
    run: tuple[RunConfig, Path, Script, dict[str, Any]], tmp_path: Path
) -> None:
    config, folder, _, _ = run
    fresh = plan(replace(config, store=str(tmp_path / "empty")))
    assert [stage.name for stage in fresh] == list(stages(folder))
    assert not any(stage.stored for stage in fresh)
    chains = next(stage for stage in fresh if stage.name == "chains/d1")
    assert chains.generations == 2 * 2 + 2 * 2 * 2 * 2
