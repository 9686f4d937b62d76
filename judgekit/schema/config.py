"""The configuration of a run: one dataclass per Hydra config group.

YAML under ``conf/`` holds values; types, ranges and documentation are here. Code below the command line only
sees these dataclasses, never a ``DictConfig``.
"""

from __future__ import annotations

from dataclasses import dataclass

from judgekit.evaluation.benchmarks.base import BenchmarkConfig
from judgekit.losses.base import LossConfig
from judgekit.losses.dpo import DpoLoss
from judgekit.prompts.base import PromptConfig
from judgekit.prompts.evalplanner import EvalPlannerPrompt
from judgekit.recipes.base import RecipeConfig
from judgekit.recipes.evalplanner.config import EvalPlannerConfig
from judgekit.samplers.base import SamplerConfig
from judgekit.samplers.hf import HfConfig
from judgekit.schema.bias import BiasConfig
from judgekit.schema.data import DataConfig
from judgekit.schema.fields import setting
from judgekit.schema.logger import LoggerConfig
from judgekit.schema.models import ModelConfig
from judgekit.schema.teachers import TeacherConfig
from judgekit.schema.trainer import TrainerConfig


@dataclass(frozen=True)
class RunConfig:
    """A whole run."""

    name: str = setting("run", "name of the run and of its folder", unkeyed="a name")
    seed: int = setting(2, "seed of every random choice", ge=0)
    store: str = setting(
        "outputs/store", "where stages and generations are kept; runs that share it share work", unkeyed="a place"
    )
    model: ModelConfig = setting(ModelConfig, "seed model")
    data: DataConfig = setting(DataConfig, "data recipe")
    prompt: PromptConfig = setting(EvalPlannerPrompt, "protocol")
    recipe: RecipeConfig = setting(EvalPlannerConfig, "recipe")
    teacher: TeacherConfig = setting(TeacherConfig, "teacher, for recipes that distil one")
    loss: LossConfig = setting(DpoLoss, "loss")
    bias: BiasConfig = setting(BiasConfig, "bias controls")
    sampler: SamplerConfig = setting(HfConfig, "sampler")
    trainer: TrainerConfig = setting(TrainerConfig, "trainer")
    benchmark: dict[str, BenchmarkConfig] = setting({}, "evaluation sets by name; null takes one out")
    logger: LoggerConfig = setting(LoggerConfig, "logging")
