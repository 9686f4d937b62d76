"""A finished run becomes folders that need no judgekit: they are loaded with plain libraries and compared."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from datasets import load_dataset
from huggingface_hub import DatasetCard, ModelCard
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from judgekit.cli import main
from judgekit.errors import DataError, StageError
from judgekit.export import export
from judgekit.export.conversations import conversation
from judgekit.prompts.evalplanner import EvalPlanner, EvalPlannerPrompt
from judgekit.rows import Demonstration, Preference, ResponsePair, read_rows
from judgekit.runner import run_recipe
from tests.recipes.evalplanner.test_evalplanner_recipe import Script, make_config
from tests.training.tiny import make_model


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run on the tiny model."""
    folder = tmp_path_factory.mktemp("run")
    tiny = make_model(folder / "model", max_position_embeddings=2048)
    script = Script()
    run_recipe(make_config(tiny, folder / "store"), folder / "out", lambda weights: script)
    return folder / "out"


@pytest.fixture(scope="module")
def exported(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    assert export(run_dir, folder, merged=True, data=True) == [folder / name for name in ("adapter", "model", "data")]
    return folder


@pytest.fixture
def copied(run_dir: Path, tmp_path: Path) -> Path:
    """The run's folder, to be damaged."""
    return Path(shutil.copytree(run_dir, tmp_path / "copied"))


def stage_rows(run_dir: Path, name: str) -> Path:
    manifest = json.loads((run_dir / "manifest.json").read_text())
    return Path(next(stage["path"] for stage in manifest["stages"] if stage["name"] == name)) / "rows.jsonl"


def test_adapter_and_merged_model_are_the_judge(run_dir: Path, exported: Path) -> None:
    base = json.loads((run_dir / "judge" / "adapter_config.json").read_text())["base_model_name_or_path"]
    expected = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), run_dir / "judge")
    adapter = AutoPeftModelForCausalLM.from_pretrained(exported / "adapter")
    model = AutoModelForCausalLM.from_pretrained(exported / "model")
    ids = torch.tensor([[0, 5, 17, 33, 120, 64]])
    with torch.no_grad():
        logits = expected(input_ids=ids).logits
        assert torch.equal(adapter(input_ids=ids).logits, logits)
        assert torch.allclose(model(input_ids=ids).logits, logits, atol=1e-5)
        assert not torch.allclose(AutoModelForCausalLM.from_pretrained(base)(input_ids=ids).logits, logits, atol=1e-5)
    for folder in ("adapter", "model"):
        assert AutoTokenizer.from_pretrained(exported / folder).chat_template
    assert not [path for path in exported.rglob("*") if path.suffix in (".bin", ".pt", ".pkl")]


def test_merging_rounds_once_to_the_precision_of_the_base(copied: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((copied / "config.yaml").read_text())
    config["model"]["dtype"] = "bfloat16"
    (copied / "config.yaml").write_text(yaml.safe_dump(config))
    export(copied, tmp_path, merged=True)
    settings = json.loads((copied / "judge" / "adapter_config.json").read_text())
    base = load_file(Path(settings["base_model_name_or_path"]) / "model.safetensors")
    lora = load_file(copied / "judge" / "adapter_model.safetensors")
    merged = load_file(tmp_path / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in merged.values()} == {torch.bfloat16}
    name = "model.layers.1.mlp.down_proj"
    down, up = (lora[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
    exact = base[f"{name}.weight"] + settings["lora_alpha"] / settings["r"] * (up @ down)
    assert torch.equal(merged[f"{name}.weight"], exact.to(torch.bfloat16))


@pytest.mark.parametrize("kind", ["adapter", "model"])
def test_the_card_is_read_by_the_hub_and_its_code_runs(run_dir: Path, exported: Path, kind: str) -> None:
    card = ModelCard.load(exported / kind / "README.md")
    metadata = card.data.to_dict()
    assert metadata["library_name"] == {"adapter": "peft", "model": "transformers"}[kind]
    assert "judgekit" in metadata["tags"]
    (entry,) = metadata["model-index"]
    measured = {metric["type"]: metric["value"] for metric in entry["results"][0]["metrics"]}
    assert measured == {"accuracy": 0.5, "consistent_accuracy": 0.0}
    manifest = json.loads((run_dir / "manifest.json").read_text())
    for stage in manifest["stages"]:
        assert f"`{stage['digest']}`" in card.text
    metrics = json.loads((run_dir / "metrics.json").read_text())
    low, high = (100 * metrics[f"eval/dpo2/starter/accuracy_ci95_{side}"] for side in ("low", "high"))
    assert f"| dpo2 | 2 | 50.0 [{low:.1f}, {high:.1f}] |" in card.text and 0 < low < 50 < high < 100
    assert "- base model tiny: unknown" in card.text and "data source constraints (constraints): unknown" in card.text
    assert "Not measured on: llmbar." in card.text

    code = re.search(r"```python\n(.*?)```", card.text, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1].replace('folder = "."', f"folder = {str(exported / kind)!r}"), names)
    asked: list[Any] = []
    apply: Callable[..., Any] = names["tokenizer"].apply_chat_template
    names["tokenizer"].apply_chat_template = lambda messages, **options: (
        asked.append(messages) or apply(messages, **options)
    )
    texts = ("Is {response_b} a slot?", "It is [[B]].", "No.")
    reply, verdict = names["judge"](*texts)
    assert verdict is None and isinstance(reply, str), "a random model names no verdict"
    protocol = EvalPlanner(EvalPlannerPrompt(style="brief"))
    assert asked == [list(protocol.judge_prompt(ResponsePair("p", *texts, label=None), "ab"))]


def test_the_card_reads_verdicts_as_judgekit_does(exported: Path) -> None:
    card = (exported / "model" / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1].replace('folder = "."', f"folder = {str(exported / 'model')!r}"), names)
    replies = ["[[B]]\n[Final Verdict]\n[[A]]", "[Final Verdict]\n[[A]] [[B]]", "[Final Verdict]\n", "[[A]]"]
    for reply, expected in zip(replies, ["A", None, None, None], strict=True):
        names["tokenizer"] = names["tokenizer"].__class__.from_pretrained(exported / "model")
        names["tokenizer"].decode = lambda *_, reply=reply, **__: reply
        assert names["judge"]("i", "a", "b") == (reply, expected)


def test_rows_are_conversations(run_dir: Path, exported: Path, tmp_path: Path) -> None:
    expected = {
        "worked_chains": ("worked_chains", Demonstration),
        "demonstrations-d1": ("demonstrations/d1", Demonstration),
        "preferences-d1": ("preferences/d1", Preference),
        "preferences-d2": ("preferences/d2", Preference),
    }
    assert {path.stem for path in (exported / "data").glob("*.jsonl")} == set(expected)
    card = DatasetCard.load(exported / "data" / "README.md")
    assert {entry["config_name"] for entry in card.data.to_dict()["configs"]} == set(expected)
    for name, (stage, kind) in expected.items():
        rows = read_rows(stage_rows(run_dir, stage), kind)
        loaded = load_dataset(str(exported / "data"), name, split="train", cache_dir=str(tmp_path))
        assert loaded.num_rows == len(rows) > 0
        for row, held in zip(rows, loaded, strict=True):
            check_conversation(held)
            assert held == conversation(row)
            assert [dict(message) for message in row.prompt] == held["prompt"]
            if isinstance(row, Preference):
                assert (held["chosen"][0]["content"], held["rejected"][0]["content"]) == (row.chosen, row.rejected)


def check_conversation(row: dict[str, Any]) -> None:
    """The rules of TRL's prompt-completion and preference types: lists of messages that alternate, reply last."""
    assert set(row) in ({"prompt", "completion"}, {"prompt", "chosen", "rejected"})
    for key, messages in row.items():
        assert isinstance(messages, list) and messages
        for message in messages:
            assert set(message) == {"role", "content"}
            assert isinstance(message["content"], str) and message["content"].strip()
        roles = [message["role"] for message in messages]
        assert roles in ([["user"], ["system", "user"]] if key == "prompt" else [["assistant"]])


def test_a_base_from_the_hub_is_named_by_id_and_commit(copied: Path, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    settings = json.loads((copied / "judge" / "adapter_config.json").read_text())
    snapshot = tmp_path / "models--some--tiny" / "snapshots" / commit
    shutil.copytree(settings["base_model_name_or_path"], snapshot)
    settings["base_model_name_or_path"] = str(snapshot)
    (copied / "judge" / "adapter_config.json").write_text(json.dumps(settings))
    config = yaml.safe_load((copied / "config.yaml").read_text())
    config["model"] |= {"path": None, "hub_id": "some/tiny", "revision": commit, "license": "mit"}
    (copied / "config.yaml").write_text(yaml.safe_dump(config))
    (adapter,) = export(copied)
    assert adapter == copied / "export" / "adapter"
    written = json.loads((adapter / "adapter_config.json").read_text())
    assert (written["base_model_name_or_path"], written["revision"]) == ("some/tiny", commit)
    metadata = ModelCard.load(adapter / "README.md").data.to_dict()
    assert (metadata["base_model"], metadata["license"], metadata["base_model_relation"]) == (
        "some/tiny",
        "mit",
        "adapter",
    )
    assert str(tmp_path) not in "".join(path.read_text() for path in adapter.glob("*") if path.suffix != ".safetensors")


def test_whole_weights_are_copied(copied: Path, tmp_path: Path) -> None:
    base = json.loads((copied / "judge" / "adapter_config.json").read_text())["base_model_name_or_path"]
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (copied / "judge" / name).unlink()
    shutil.copyfile(Path(base, "model.safetensors"), copied / "judge" / "model.safetensors")
    shutil.copyfile(Path(base, "config.json"), copied / "judge" / "config.json")
    (model,) = export(copied, tmp_path)
    assert model == tmp_path / "model"
    assert (model / "model.safetensors").read_bytes() == Path(base, "model.safetensors").read_bytes()
    assert yaml.safe_load((model / "judge.yaml").read_text())["adapter"] is False
    assert ModelCard.load(model / "README.md").data.to_dict()["library_name"] == "transformers"


def test_an_earlier_export_is_replaced_and_nothing_else(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(run_dir, tmp_path)
    (tmp_path / "adapter" / "stale").touch()
    assert main(["export", str(run_dir), "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'adapter'}\n"
    assert not (tmp_path / "adapter" / "stale").exists()
    mine = tmp_path / "data"
    mine.mkdir()
    (mine / "README.md").write_text("my own\n")
    assert main(["export", str(run_dir), "--data", "-o", str(tmp_path)]) == 2
    assert "data is in the way" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "data"]
    assert [path.name for path in mine.iterdir()] == ["README.md"]


def test_what_cannot_be_exported_is_told(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Name the folder of a run"):
        export(tmp_path / "nowhere")
    manifest = json.loads((copied / "manifest.json").read_text())
    rows = stage_rows(copied, "preferences/d2")
    away = rows.rename(rows.with_name("away"))
    try:
        with pytest.raises(StageError, match="is gone"):
            export(copied, tmp_path, data=True)
    finally:
        away.rename(rows)
    assert not (tmp_path / "data").exists()
    (copied / "manifest.json").write_text(json.dumps(manifest | {"status": "failed"}))
    with pytest.raises(StageError, match=r"not finished \(status: failed\)"):
        export(copied)
    (copied / "manifest.json").write_text(json.dumps(manifest))
    (copied / "judge" / "adapter_model.safetensors").unlink()
    with pytest.raises(StageError, match="no trained weights"):
        export(copied)
    (copied / "config.yaml").unlink()
    shutil.copyfile(rows, copied / "judge" / "adapter_model.safetensors")
    with pytest.raises(DataError, match="config.yaml"):
        export(copied)


# --- pickled weights


def pickled(folder: Path, shards: int) -> dict[str, torch.Tensor]:
    """A tiny model whose weights are pickled; gives its tensors."""
    held = load_file(make_model(folder) / "model.safetensors")
    (folder / "model.safetensors").unlink()
    held["lm_head.weight"] = held["model.embed_tokens.weight"]  # in one place of memory, as tied weights are
    names = sorted(held)
    if shards == 1:
        torch.save(held, folder / "pytorch_model.bin")
        return held
    files = [f"pytorch_model-{number:05}-of-{shards:05}.bin" for number in range(1, shards + 1)]
    for number, file in enumerate(files):
        torch.save({name: held[name] for name in names[number::shards]}, folder / file)
    index = {"weight_map": {name: files[place % shards] for place, name in enumerate(names)}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return held


@pytest.mark.parametrize("shards", [1, 3])
def test_pickled_weights_become_safetensors_by_one_command(
    shards: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = pickled(tmp_path / "old", shards)
    assert main(["export", str(tmp_path / "old"), "--safetensors"]) == 0
    made = tmp_path / "old-safetensors"
    assert capsys.readouterr().out == f"{made}\n"
    files = sorted(made.glob("*.safetensors"))
    assert len(files) == shards and not list(made.glob("*.bin*"))
    found = {name: tensor for file in files for name, tensor in load_file(file).items()}
    assert found.keys() == held.keys() and all(torch.equal(found[name], held[name]) for name in held)
    model, report = AutoModelForCausalLM.from_pretrained(made, use_safetensors=True, output_loading_info=True)
    assert not report["missing_keys"] and torch.equal(model.lm_head.weight, held["lm_head.weight"])
    assert main(["export", str(tmp_path / "old"), "--safetensors"]) == 2
    assert "old-safetensors is there already" in capsys.readouterr().err


class Code:
    """Runs a command when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.file),)


def test_code_in_a_pickle_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_model(tmp_path / "old")
    torch.save({"weight": Code(tmp_path / "run")}, tmp_path / "old" / "pytorch_model.bin")
    assert main(["export", str(tmp_path / "old"), "--safetensors", "-o", str(tmp_path / "new")]) == 2
    assert "pytorch_model.bin cannot be read as tensors alone" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    (tmp_path / "old" / "pytorch_model.bin").unlink()
    assert main(["export", str(tmp_path / "old"), "--safetensors", "-o", str(tmp_path / "other")]) == 2
    assert "lacks pytorch_model.bin" in capsys.readouterr().err
