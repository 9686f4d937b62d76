"""``judgekit judge``: from arguments to a judged file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judgekit.data.inputs import InputKind, kind_of
from judgekit.errors import ConfigError
from judgekit.file_judging import Asked, judge_file
from judgekit.rows import ORDERS
from judgekit.schema.composition import Composer
from judgekit.schema.evaluation import EvalConfig
from judgekit.schema.overrides import judge_overrides

DEFAULT_PROMPTS: dict[InputKind, str] = {"pairs": "pairwise", "candidates": "pairwise", "responses": "rating"}
"""How judges are asked that do not say it themselves."""


def judge(options: argparse.Namespace) -> None:
    """The command: its arguments are those of ``arguments.add_judge``.

    :raises JudgekitError: naming what cannot be judged, or asked
    """
    config = configure(options)
    many = config.samples > 1 or options.temperature is not None
    judge_file(
        Asked(
            input=options.input,
            output=options.output,
            orders=ORDERS if options.orders == "both" else (options.orders,),
            samples=config.samples,
            temperature=config.sampler.temperature if many else 0.0,
            top_p=config.sampler.top_p if many else 1.0,
            seed=config.seed,
            chunk=options.chunk or config.sampler.chunk,
            merge=config.merge or "none",
            min_votes=options.min_votes,
            columns=options.columns,
            skip_bad_rows=options.skip_bad_rows,
            restart=options.restart,
        ),
        config.judge,
        config.sampler,
        config.prompt,
        Path(config.store),
    )


def configure(options: argparse.Namespace) -> EvalConfig:
    """The configuration that the arguments and overrides make, an evaluation without benchmarks.

    A judge that does not say how it is asked gets the protocol for the kind of input.

    :raises ConfigError: with every mistake
    """
    composer = Composer(name="eval", kind=EvalConfig)
    given = {
        "judge": options.judge and "'" + options.judge.replace("\\", "\\\\").replace("'", "\\'") + "'",
        "sampler": options.sampler,
        "sampler.temperature": options.temperature,
        "samples": options.samples,
        "judge.verdict": options.verdict,
        "merge": options.merge,
        "seed": options.seed,
    }
    overrides = [f"{key}={value}" for key, value in given.items() if value is not None]
    overrides = judge_overrides([*overrides, *options.overrides], composer.loader)
    try:
        config = composer.job(overrides, ignoring=("benchmark", "benchmarks")).config
    except ConfigError as error:
        if not any(problem.key == "prompt" for problem in error.problems) or _names_prompt(overrides):
            raise
        prompt = DEFAULT_PROMPTS[kind_of(options.input, options.columns)]
        print(f"The judge does not say how it is asked: prompt={prompt} is used.", file=sys.stderr)
        config = composer.job([*overrides, f"prompt={prompt}"], ignoring=("benchmark", "benchmarks")).config
    assert isinstance(config, EvalConfig)
    return config


def _names_prompt(overrides: Sequence[str]) -> bool:
    return any(text.startswith("prompt=") for text in overrides)
