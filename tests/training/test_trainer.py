"""Whole training stages on a tiny model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel
from transformers.models.llama.modeling_llama import LlamaMLP

from judgekit.errors import ModelError, StageError
from judgekit.losses.dpo import DpoLoss
from judgekit.losses.ipo import IpoLoss
from judgekit.losses.robust import RobustLoss
from judgekit.rows import Demonstration, Preference, write_rows
from judgekit.schema.optim import OptimConfig
from judgekit.schema.trainer import TrainerConfig
from judgekit.training.lora import add_dropout
from judgekit.training.module import learning_rate
from judgekit.training.trainer import TrainResult, compute_reference, train
from judgekit.weights import Weights
from tests.training.tiny import demonstrations, make_model, preferences

OPTIM = OptimConfig(lr=0.01, epochs=2, batch_size=8, checkpoint_every=2, warmup_steps=1)
TRAINER = TrainerConfig(lora_rank=4, accelerator="cpu", max_tokens=400)


class Killed(Exception):
    """Stands for the process ending."""


class Stage:
    """A folder with rows and a model, and calls of ``train`` on them."""

    def __init__(self, folder: Path, **model: Any) -> None:
        self.folder = folder
        self.start = Weights(make_model(folder / "base", **model))
        write_rows(folder / "dpo.jsonl", preferences())
        write_rows(folder / "sft.jsonl", demonstrations())

    def train(self, task: Any = "dpo", name: str = "out", **changes: Any) -> tuple[TrainResult, dict[int, Any]]:
        """Result and series by step."""
        series: dict[int, dict[str, float]] = {}
        settings: dict[str, Any] = {
            "rows_file": self.folder / f"{task}.jsonl",
            "start": self.start,
            "output": self.folder / name,
            "work": self.folder / f"{name}-work",
            "optim": OPTIM,
            "loss": DpoLoss(),
            "trainer": TRAINER,
            "seed": 2,
            "stage": "dpo1",
            "on_step": series.__setitem__,
        }
        return train(task, **{**settings, **changes}), series

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """What a stage wrote."""
        return load_file(self.folder / name / "adapter_model.safetensors")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A fresh folder."""
    return Stage(tmp_path)


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Bit for bit."""
    assert one.keys() == other.keys() and one
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-3)])
def test_dpo_starts_at_ln_2_also_after_sft(tmp_path: Path, dtype: torch.dtype, tolerance: float) -> None:
    stage = Stage(tmp_path, dtype=dtype)
    result, sft = stage.train("sft", "sft", stage="sft")
    assert sft[result.steps]["loss"] < sft[1]["loss"]
    warm = Weights(stage.start.base, tmp_path / "sft")
    for name, start in {"plain": stage.start, "warm": warm}.items():
        result, series = stage.train("dpo", name, start=start)
        assert series[1]["loss"] == pytest.approx(math.log(2.0), abs=tolerance)
        assert series[1]["margin"] == pytest.approx(0.0, abs=tolerance)
        assert series[result.steps]["loss"] < 0.69
    moved = stage.tensors("warm")
    assert all(value.dtype == torch.float32 for value in moved.values())
    assert any(not torch.equal(moved[name], value) for name, value in stage.tensors("sft").items())


LOSSES = {
    "dpo_nll": DpoLoss(nll_weight=0.5, label_smoothing=0.1),
    "dpo_norm": DpoLoss(beta=5.0, length_normalised=True),
    "ipo": IpoLoss(beta=0.3, length_normalised=True),
    "robust": RobustLoss(label_smoothing=0.2),
}


def plain_loss(kind: str, gap: torch.Tensor, chosen_means: torch.Tensor) -> torch.Tensor:
    """The losses of ``LOSSES`` once more, from the probability that the chosen reply wins."""
    if kind == "dpo_nll":
        wins = torch.sigmoid(0.1 * gap)
        return -0.9 * wins.log() - 0.1 * (1 - wins).log() - 0.5 * chosen_means
    if kind == "dpo_norm":
        return -torch.sigmoid(5.0 * gap).log()
    if kind == "ipo":
        return (gap - 1 / 0.6) ** 2
    wins = torch.sigmoid(0.1 * gap)
    return (-0.8 * wins.log() + 0.2 * (1 - wins).log()) / 0.6


@pytest.mark.parametrize("kind", LOSSES)
def test_the_series_equal_the_plain_way(stage: Stage, kind: str) -> None:
    """Step 1 reports the start model's log-probabilities, step 2 those of the adapter saved after step 1."""
    optim, loss = replace(OPTIM, batch_size=16, checkpoint_every=1, epochs=2), LOSSES[kind]
    adapters = {}

    def keep(step: int, folder: Path) -> float:
        base = AutoModelForCausalLM.from_pretrained(stage.start.base)
        adapters[step] = peft.PeftModel.from_pretrained(base, str(folder)).eval()
        return 0.0

    _, series = stage.train(optim=optim, loss=loss, on_checkpoint=keep)
    base = AutoModelForCausalLM.from_pretrained(stage.start.base).eval()
    before, after = plain_sums(base, stage.start.base), plain_sums(adapters[1], stage.start.base)
    lengths = torch.tensor([[len(row.chosen) + 1, len(row.rejected) + 1] for row in preferences()])
    assert series[1]["chosen_logp"] == pytest.approx(float(before[:, 0].mean()), rel=1e-5)
    ratios = (after - before) / lengths if loss.length_normalised else after - before
    gap = ratios[:, 0] - ratios[:, 1]
    assert series[2]["margin"] == pytest.approx(loss.beta * float(gap.mean()), rel=1e-3)
    assert series[2]["accuracy"] == pytest.approx(float((gap > 0).double().mean()))
    expected = plain_loss(kind, gap, after[:, 0] / lengths[:, 0])
    assert series[2]["loss"] == pytest.approx(float(expected.mean()), rel=1e-4, abs=1e-6)


def test_sft_averages_over_tokens_or_examples(stage: Stage) -> None:
    optim = replace(OPTIM, batch_size=16, epochs=1)
    rows = [Demonstration(row.id, row.prompt, row.rejected) for row in preferences()]
    write_rows(stage.folder / "sft.jsonl", rows)
    sums = plain_sums(AutoModelForCausalLM.from_pretrained(stage.start.base).eval(), stage.start.base)[:, 1]
    lengths = torch.tensor([len(row.target) + 1 for row in rows])
    _, tokens = stage.train("sft", "tokens", optim=optim)
    _, examples = stage.train("sft", "examples", optim=optim, loss=DpoLoss(sft_average="examples"))
    assert tokens[1]["loss"] == pytest.approx(float(-sums.sum() / lengths.sum()), rel=1e-5)
    assert examples[1]["loss"] == pytest.approx(float(-(sums / lengths).mean()), rel=1e-5)
    assert tokens[1]["loss"] != pytest.approx(examples[1]["loss"], rel=5e-5)


def plain_sums(model: Any, base: Path) -> torch.Tensor:
    """Log-probabilities (pairs, 2), one sequence at a time through the tokenizer's own template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    sums = []
    for row in preferences():
        prompt = tokenizer.apply_chat_template(list(row.prompt), add_generation_prompt=True, return_dict=False)
        for reply in (row.chosen, row.rejected):
            ids = torch.tensor([prompt + tokenizer.encode(reply + "<|im_end|>")])
            with torch.no_grad():
                logps = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
            sums.append(logps.gather(1, ids[0, 1:, None])[len(prompt) - 1 :].sum())
    return torch.stack(sums).view(-1, 2)


@pytest.mark.parametrize("task", ["sft", "dpo"])
def test_steps_do_not_depend_on_how_batches_are_packed(stage: Stage, task: str) -> None:
    _, wide = stage.train(task, "wide", trainer=replace(TRAINER, max_tokens=4000))
    _, narrow = stage.train(task, "narrow", trainer=replace(TRAINER, max_tokens=200))
    for step, values in wide.items():
        assert values == pytest.approx(narrow[step], rel=2e-3, abs=2e-4)


def test_dropout_is_on_what_attention_and_mlp_add_and_only_while_training(stage: Stage) -> None:
    model = AutoModelForCausalLM.from_pretrained(stage.start.base)
    layer, states = model.model.layers[1], torch.randn(1, 400, 32)
    whole, mlp = layer.self_attn, layer.mlp
    plain = (whole(states, model.model.rotary_emb(states, torch.arange(400)[None]), None)[0], mlp(states))
    add_dropout(model, 0.25)
    for training in (False, True):
        model.train(training)
        torch.manual_seed(1)
        found = (whole(states, model.model.rotary_emb(states, torch.arange(400)[None]), None)[0], mlp(states))
        for before, after in zip(plain, found, strict=True):
            gone = after == 0
            assert gone.float().mean() == (pytest.approx(0.25, abs=0.02) if training else 0)
            assert torch.allclose(after[~gone], before[~gone] * (4 / 3 if training else 1))


def test_dropout_trains_and_the_reference_has_none(stage: Stage) -> None:
    _, plain = stage.train(name="plain")
    _, dropped = stage.train(name="dropped", optim=replace(OPTIM, dropout=0.1))
    assert plain[1]["loss"] == pytest.approx(math.log(2)) and dropped[1]["loss"] != pytest.approx(math.log(2), abs=1e-4)
    reference = [load_file(stage.folder / f"{name}-work" / "reference.safetensors") for name in ("plain", "dropped")]
    assert_same(*reference)


def test_dropout_is_refused_where_it_is_not_known_where_it_belongs() -> None:
    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=9, n_positions=8))
    with pytest.raises(ModelError, match="Where dropout belongs in a GPT2LMHeadModel is not known"):
        add_dropout(model, 0.1)


@pytest.mark.parametrize(
    ("adapter", "dropout", "dtype"),
    [
        ("lora", 0.0, torch.float32),
        ("lora", 0.2, torch.float32),
        ("dora", 0.0, torch.float32),
        ("full", 0.0, torch.float32),
        ("full", 0.0, torch.bfloat16),
    ],
)
def test_a_run_killed_within_an_epoch_resumes_to_the_same_bits(
    tmp_path: Path, adapter: Any, dropout: float, dtype: torch.dtype
) -> None:
    stage = Stage(tmp_path, dtype=dtype)
    trainer = replace(TRAINER, adapter=adapter, lora_dropout=dropout)
    optim = replace(
        OPTIM, batch_size=4, max_steps=7, dropout=dropout / 2
    )  # four steps an epoch, a checkpoint after every second
    whole, unbroken = stage.train(name="whole", trainer=trainer, optim=optim)

    def die(step: int, _: dict[str, float]) -> None:
        if step == 3:
            raise Killed

    with pytest.raises(Killed):
        stage.train(name="broken", trainer=trainer, optim=optim, on_step=die)
    resumed, series = stage.train(name="broken", trainer=trainer, optim=optim)
    assert list(series) == [3, 4, 5, 6, 7] and all(series[step] == unbroken[step] for step in series)
    assert replace(resumed, seconds=0.0) == replace(whole, seconds=0.0)
    files = [path.name for path in (tmp_path / "whole").iterdir() if path.suffix in (".safetensors", ".json")]
    assert any(name.endswith(".safetensors") for name in files)
    for name in files:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "broken" / name).read_bytes()


def test_rows_of_single_epochs_are_shown_there_alone_and_a_killed_run_goes_on_with_them(stage: Stage) -> None:
    rows = [replace(row, id=f"{row.id}/{epoch}", target=f"{row.target} {epoch}", epoch=epoch)
            for epoch in range(2) for row in demonstrations(6)]  # fmt: skip
    write_rows(stage.folder / "epochs.jsonl", rows)
    optim = replace(OPTIM, batch_size=3, epochs=2, max_steps=None, checkpoint_every=3)  # two steps an epoch
    changes = {"rows_file": stage.folder / "epochs.jsonl", "optim": optim}
    whole, unbroken = stage.train("sft", "whole", **changes)
    assert (whole.rows, whole.steps) == (12, 4)

    def die(step: int, _: dict[str, float]) -> None:
        if step == 4:
            raise Killed

    with pytest.raises(Killed):
        stage.train("sft", "broken", on_step=die, **changes)
    _, series = stage.train("sft", "broken", **changes)
    assert list(series) == [4] and series[4] == unbroken[4]
    assert_same(stage.tensors("whole"), stage.tensors("broken"))


def test_a_finished_run_is_not_trained_again(stage: Stage) -> None:
    first, _ = stage.train()
    again, series = stage.train()
    assert series == {} and again == first
    _, series = stage.train(optim=replace(OPTIM, lr=0.002))
    assert list(series) == [1, 2, 3, 4], "another setting must not continue from these checkpoints"


def test_the_best_checkpoint_is_the_output_and_the_earliest_among_equals(stage: Stage) -> None:
    kept: dict[int, dict[str, torch.Tensor]] = {}
    scores = {1: 0.1, 2: 0.5, 3: 0.5, 4: 0.2}

    def judge(step: int, folder: Path) -> float:
        kept[step] = load_file(folder / "adapter_model.safetensors")
        return scores[step]

    result, _ = stage.train(optim=replace(OPTIM, checkpoint_every=1), on_checkpoint=judge)
    assert (result.chosen_step, result.scores, result.steps) == (2, scores, 4)
    assert_same(stage.tensors("out"), kept[2])
    assert not torch.equal(*(next(iter(kept[step].values())) for step in (2, 4)))
    assert sorted(path.name for path in (stage.folder / "out-work").glob("step-*")) == ["step-000002", "step-000004"]


def test_training_ends_at_the_first_checkpoint_that_is_good_enough(stage: Stage) -> None:
    seen: list[int] = []

    def judge(step: int, _: Path) -> float:
        seen.append(step)
        return step / 10

    settings = replace(OPTIM, checkpoint_every=1)
    result, _ = stage.train(optim=settings, on_checkpoint=judge, stop_at=0.2)
    assert (result.steps, result.chosen_step, seen) == (2, 2, [1, 2])
    again, _ = stage.train(optim=settings, on_checkpoint=judge, stop_at=0.2)
    assert (again.steps, again.chosen_step, seen) == (2, 2, [1, 2])


def test_a_run_killed_while_judging_judges_again(stage: Stage) -> None:
    seen: list[int] = []

    def judge(step: int, _: Path) -> float:
        seen.append(step)
        if len(seen) == 1:
            raise Killed
        return 1.0 / step

    with pytest.raises(Killed):
        stage.train(on_checkpoint=judge)
    result, series = stage.train(on_checkpoint=judge)
    assert seen == [2, 2, 4] and list(series) == [3, 4] and result.chosen_step == 2


def test_the_reference_is_computed_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from judgekit.training import reference

    calls: list[int] = []
    compute: Callable[..., torch.Tensor] = reference.reference_logps
    monkeypatch.setattr(reference, "reference_logps", lambda *args: calls.append(1) or compute(*args))
    shared = stage.folder / "reference.safetensors"
    _, first = stage.train(name="one", reference_file=shared)
    changes = {"loss": IpoLoss(beta=0.3), "optim": replace(OPTIM, lr=0.02)}
    _, second = stage.train(name="two", reference_file=shared, **changes)
    assert len(calls) == 1 and first[1]["chosen_logp"] == second[1]["chosen_logp"]
    trained = Weights(stage.start.base, stage.folder / "one")
    others: list[dict[str, Any]] = [{"seed": 3}, {"dtype": "bfloat16"}, {"start": trained}]
    for count, other in enumerate(others):
        stage.train(name=f"other{count}", reference_file=shared, **other)
        assert len(calls) == 2 + count, "another packing, precision or model is another reference"
    shared.write_bytes(b"torn")
    stage.train(name="four", reference_file=shared)
    assert len(calls) == 5


@pytest.mark.parametrize("adapter", ["lora", "dora", "full"])
def test_a_reference_computed_beforehand_equals_that_of_the_loop(tmp_path: Path, adapter: Any) -> None:
    stage = Stage(tmp_path, dtype=torch.bfloat16)
    trainer = replace(TRAINER, adapter=adapter)
    file = tmp_path / "reference" / "logps.safetensors"
    pairs = compute_reference(
        tmp_path / "dpo.jsonl", stage.start, file, tmp_path / "work", OPTIM, trainer, seed=2, stage="reference"
    )
    written = file.read_bytes(), file.stat().st_mtime_ns
    _, before = stage.train(name="before", trainer=trainer, reference_file=file)
    _, within = stage.train(name="within", trainer=trainer)
    assert pairs == 16 and before == within
    assert (file.read_bytes(), file.stat().st_mtime_ns) == written, "training must not touch it"
    assert written[0] == (tmp_path / "within-work" / "reference.safetensors").read_bytes()


def test_refused_rows_are_counted(stage: Stage) -> None:
    rows = [*preferences(), Preference("long", ({"role": "user", "content": "x"},), "a" * 390, "b")]
    write_rows(stage.folder / "dpo.jsonl", rows)
    result, _ = stage.train()
    assert (result.rows, result.refused) == (16, {"longer than trainer.max_tokens": 1})


def test_rows_that_no_step_has_room_for_are_counted(stage: Stage) -> None:
    """16 pairs of 4 prompts, two steps of 3: each prompt gives one, two of them a second one."""
    result, _ = stage.train(optim=replace(OPTIM, batch_size=3, max_steps=2))
    assert (result.rows, result.prompts, result.refused) == (6, 4, {"row beyond max_steps": 10})


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        ([], {}, "holds no rows"),
        (preferences(), {"trainer": replace(TRAINER, max_tokens=90)}, r"Raise trainer.max_tokens to at least \d+"),
        (preferences(), {"trainer": replace(TRAINER, accelerator="gpu")}, r"trainer.accelerator \(now gpu\)"),
        (preferences(), {"trainer": replace(TRAINER, nodes=2)}, "trainer.nodes=1"),
        (preferences(), {"optim": replace(OPTIM, lr=1e30, clip_norm=None, epochs=9)}, "lr"),
    ],
)
def test_errors_name_the_setting(stage: Stage, rows: Any, changes: dict[str, Any], message: str) -> None:
    write_rows(stage.folder / "dpo.jsonl", rows)
    with pytest.raises(StageError, match=message):
        stage.train(**changes)
    assert not (stage.folder / "out").exists()


def test_out_of_memory_names_the_setting(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    monkeypatch.setattr("judgekit.training.module.token_logps", fail)
    with pytest.raises(StageError, match=r"Lower trainer.max_tokens \(now 400\), or set trainer.gradient"):
        stage.train("sft")
    with pytest.raises(StageError, match="trainer.adapter=lora"):
        stage.train("sft", trainer=replace(TRAINER, adapter="full"))


def test_schedules() -> None:
    optim = OptimConfig(lr=1.0, warmup_steps=2, schedule="linear", final_lr_ratio=0.2)
    assert [learning_rate(optim, step, 6) for step in range(6)] == pytest.approx([0.5, 1, 1, 2.2 / 3, 1.4 / 3, 0.2])
    cosine = replace(optim, schedule="cosine")
    assert [learning_rate(cosine, step, 6) for step in (2, 5)] == pytest.approx([1.0, 0.2])
    assert learning_rate(replace(optim, schedule="constant"), 5, 6) == 1.0
    assert learning_rate(replace(optim, warmup_steps=9), 5, 6) == pytest.approx(6 / 9)


def test_gradient_checkpointing_changes_no_number(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    forward = LlamaMLP.forward
    monkeypatch.setattr(LlamaMLP, "forward", lambda self, x: calls.append(1) or forward(self, x))
    _, stored = stage.train("sft", "stored")
    once = len(calls)
    _, again = stage.train("sft", "again", trainer=replace(TRAINER, gradient_checkpointing=True))
    assert again == stored
    assert len(calls) - once > 1.5 * once, "the backward pass computes each layer again"


def test_console_stays_quiet(stage: Stage, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    stage.train("sft")
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err == ""
    assert [str(warning.message) for warning in recwarn] == []


def test_the_loss_curve_at_a_fixed_seed(stage: Stage) -> None:
    """A change of these numbers is a change of what training does, and needs a reason."""
    _, sft = stage.train("sft")
    _, dpo = stage.train("dpo", "dpo", loss=DpoLoss(nll_weight=0.1, label_smoothing=0.1))
    assert [step["loss"] for step in sft.values()] == pytest.approx([5.7028, 5.2667, 4.9816, 4.8455], rel=1e-3)
    assert [step["loss"] for step in dpo.values()] == pytest.approx([1.2623, 0.9771, 0.8973, 0.8658], rel=1e-3)
