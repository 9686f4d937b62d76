"""What a finished run left, as far as an export needs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from judgekit.errors import DataError, StageError
from judgekit.prompts.base import PROMPTS, PromptConfig
from judgekit.registry import known_fields
from judgekit.run_folder import JUDGE_FILE, RunFolder
from judgekit.schema.models import ModelConfig


@dataclass(frozen=True)
class ExportRun:
    """A finished run.

    :param path: its folder
    :param manifest: ``manifest.json``
    :param config: ``config.yaml``
    :param metrics: ``metrics.json``
    :param judge: ``judge/judge.yaml``
    """

    path: Path
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    judge: Mapping[str, Any]

    @classmethod
    def read(cls, run_dir: Path) -> ExportRun:
        """Read a run's folder.

        :raises DataError: a file is missing or cannot be read
        :raises StageError: the run is not finished, or left no trained weights
        """
        folder = RunFolder(run_dir)
        manifest = folder.read_manifest()
        if manifest.get("status") != "finished":
            raise StageError(
                f"The run in {run_dir} is not finished (status: {manifest.get('status')}). "
                f"Give its command again, then export: {manifest.get('command')}"
            )
        weights = folder.judge
        if not any(weights.glob("*.safetensors")):
            raise StageError(f"{weights} holds no trained weights, so there is nothing to export.")
        config, judge = _yaml(folder.config), _yaml(weights / JUDGE_FILE)
        return cls(run_dir, manifest, config, folder.read_metrics(), judge)

    @property
    def weights(self) -> Path:
        """Folder of the trained weights."""
        return RunFolder(self.path).judge

    @property
    def is_adapter(self) -> bool:
        """Whether the judge is an adapter on the base model; otherwise it is a whole model."""
        return (self.weights / "adapter_config.json").exists()

    @property
    def adapter(self) -> dict[str, Any]:
        """``adapter_config.json``."""
        held: dict[str, Any] = json.loads((self.weights / "adapter_config.json").read_text(encoding="utf-8"))
        return held

    @property
    def model(self) -> ModelConfig:
        """The base model as configured; fields that a newer or older version knows are left out."""
        return known_fields(ModelConfig, self.config["model"])

    @property
    def prompt(self) -> PromptConfig:
        """The protocol as configured."""
        return PROMPTS.read(self.config["prompt"])

    @property
    def trained_on_hub(self) -> bool:
        """Whether the base weights in use were those of the hub: its cache names folders by commit."""
        used = Path(str(self.adapter["base_model_name_or_path"])) if self.is_adapter else None
        return self.model.path is None and used is not None and used.name == self.model.revision


def _yaml(path: Path) -> Mapping[str, Any]:
    try:
        held = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError("not there. Give the run's command again to have it written", file=path) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"not YAML: {error}", file=path) from error
    if not isinstance(held, dict):
        raise DataError("not a YAML mapping", file=path)
    return held
