"""The report's section on an actor's judge and meta-judge, from ``bias.json`` of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgekit.errors import DataError
from judgekit.report.charts import Bars, bars, number
from judgekit.run_folder import RunFolder

RATES = {
    "first_position": "the judgment shown first wins",
    "higher_score": "the higher score wins",
    "equal_score_first": "on equal scores the judgment shown first wins",
}
"""Rates of the meta-judge, and what they say."""


@dataclass(frozen=True, slots=True)
class RateText:
    """A number with its interval, as text; a dash where there is none."""

    label: str
    value: str
    interval: str
    n: int


@dataclass(frozen=True, slots=True)
class BiasIteration:
    """One iteration.

    :param facts: names and numbers of judge and lengths
    :param histogram: of scores, None without any
    :param meta: rates of the meta-judge, empty without one; ``weights`` wins by position with ω1 and ω2
    :param invalid: what has no score or no winner, by reason
    :param collapsed: in which ways the meta-judge has collapsed
    """

    name: str
    mean: RateText
    facts: tuple[tuple[str, str], ...]
    histogram: Bars | None
    meta: tuple[RateText, ...]
    weights: tuple[tuple[str, str], ...]
    invalid: tuple[tuple[str, int], ...]
    collapsed: tuple[str, ...]


def read_bias(run_dir: Path) -> tuple[BiasIteration, ...]:
    """The iterations of a run, none where it has no bias report.

    :raises DataError: when the file cannot be read
    """
    path = RunFolder(run_dir).bias
    if not path.exists():
        return ()
    try:
        return tuple(_iteration(values) for values in json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"not a bias report: {error}", file=path) from error


def _iteration(values: Mapping[str, Any]) -> BiasIteration:
    scores, meta = values["scores"], values["meta"]
    facts = {"standard deviation": scores["standard_deviation"], "drift of the mean": scores["drift"]}
    facts |= {name.replace("_", " "): value for name, value in values["lengths"].items()}
    counts = [(number(low), count) for low, count in scores["histogram"]]
    invalid = [(f"judgment: {reason}", count) for reason, count in scores["invalid"].items()]
    weights: list[tuple[str, str]] = []
    if meta is not None:
        held = meta["weights"]
        weights = [("wins of the first position", str(held["first"])), ("of the second", str(held["second"]))]
        weights += [("ω1", f"{held['omega1']:.3f}"), ("ω2", f"{held['omega2']:.3f}")]
        invalid += [(f"comparison: {reason}", count) for reason, count in meta["invalid"].items()]
    return BiasIteration(
        name=values["name"],
        mean=_rate("mean score", scores["mean"], 1),
        facts=tuple((name, number(value)) for name, value in facts.items() if value is not None),
        histogram=bars(counts) if counts else None,
        meta=tuple(_rate(label, meta[name], 100) for name, label in RATES.items()) if meta is not None else (),
        weights=tuple(weights),
        invalid=tuple(invalid),
        collapsed=tuple(values["collapsed"]),
    )


def _rate(label: str, estimate: Mapping[str, Any], scale: float) -> RateText:
    def shown(value: float) -> str:
        return f"{scale * value:.1f}" if scale != 1 else f"{value:.2f}"

    ends: Sequence[float] | None = estimate["ci95"]
    interval = "" if ends is None else f"[{shown(ends[0])}, {shown(ends[1])}]"
    return RateText(label, "–" if estimate["value"] is None else shown(estimate["value"]), interval, int(estimate["n"]))
