"""What a job was told and what came out, as plain values by name. Reading them imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

Row = dict[str, Any]

MAIN_METRICS = ("accuracy", "consistent_accuracy", "consistency", "first_position_rate", "invalid_rate")


def override_values(overrides: Iterable[str]) -> Row:
    """Values of overrides by their keys."""
    pairs = (override.partition("=") for override in overrides)
    return {key.lstrip("+~"): _value(value) for key, _, value in pairs}


def _value(text: str) -> Any:
    """A number, truth value or text; lists and the like stay text."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, bool | int | float) else text.strip("'\"")


def run_cost(manifest: Mapping[str, Any]) -> Row:
    """What a run cost, as ``judgekit sweep collect`` names it; empty without a manifest."""
    if not manifest:
        return {}
    stages = manifest.get("stages", [])
    prices = [stage["cost"] for stage in stages if "cost" in stage]
    thought = sum(stage["tokens"].get("thought", 0) for stage in stages)
    return (
        {
            "cost/prompt_tokens": sum(stage["tokens"].get("prompt", 0) for stage in stages),
            "cost/generated_tokens": sum(stage["tokens"].get("generated", 0) for stage in stages),
            "cost/sampled": sum(stage["generations"].get("sampled", 0) for stage in stages),
            "cost/stage_seconds": round(sum(stage["seconds"] for stage in stages), 2),
            "cost/run_seconds": manifest.get("seconds"),
        }
        | ({"cost/thought_tokens": thought} if thought else {})
        | ({"cost/price": round(sum(prices), 6)} if prices else {})
    )


def final_judge(manifest: Mapping[str, Any]) -> str | None:
    """The judge a run leaves, None when it has none yet."""
    judges = manifest.get("judges") or [None]
    return str(found) if (found := manifest.get("final_judge") or judges[-1]) else None


def final_numbers(manifest: Mapping[str, Any], numbers: Mapping[str, Any]) -> Row:
    """The main metrics of the judge a run leaves under names that runs share: ``final/BENCHMARK/METRIC``.

    :param numbers: as in ``metrics.json``
    """
    judge = final_judge(manifest)
    names = ((name, metric) for name in manifest.get("benchmarks") or () for metric in MAIN_METRICS)
    found = {f"final/{name}/{metric}": numbers.get(f"eval/{judge}/{name}/{metric}") for name, metric in names}
    return {name: value for name, value in found.items() if value is not None}
