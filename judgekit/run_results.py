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


def _used(stage: Mapping[str, Any]) -> Row:
    """What all generations took that a stage rests on; of older stages what they sampled themselves."""
    drawn: Row = stage["tokens"] | ({"cost": stage["cost"]} if "cost" in stage else {})
    return dict(stage["used"]) if stage.get("used") else drawn


def run_cost(manifest: Mapping[str, Any]) -> Row:
    """What a run cost, as ``judgekit sweep collect`` names it; empty without a manifest.

    Tokens and price are of all generations its stages rest on, whichever run drew them: they do not depend on the order
    in which runs that share a store were made. ``drawn_tokens`` and ``sampled`` are what its stages drew themselves,
    ``trained_tokens`` what they trained on.
    """
    if not manifest:
        return {}
    stages = manifest.get("stages", [])
    asked = [stage for stage in stages if any(stage["generations"].values())]
    trained = [stage["tokens"] for stage in stages if stage not in asked]
    used = [_used(stage) for stage in asked]
    prices = [one["cost"] for one in used if "cost" in one]
    optional = {
        "cost/trained_tokens": sum(sum(tokens.values()) for tokens in trained),
        "cost/thought_tokens": sum(one.get("thought", 0) for one in used),
        "cost/price": round(sum(prices), 6),
    }
    return {
        "cost/prompt_tokens": sum(one.get("prompt", 0) for one in used),
        "cost/generated_tokens": sum(one.get("generated", 0) for one in used),
        "cost/drawn_tokens": sum(stage["tokens"].get(name, 0) for stage in asked for name in ("prompt", "generated")),
        "cost/sampled": sum(stage["generations"].get("sampled", 0) for stage in stages),
        "cost/stage_seconds": round(sum(stage["seconds"] for stage in stages), 2),
        "cost/run_seconds": manifest.get("seconds"),
    } | {name: value for name, value in optional.items() if value or (name == "cost/price" and prices)}


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
