"""Stages that measure by which surface cues the better of two texts could be told (``cue_accuracy``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from judgekit.rows import Judgment, Preference, ResponsePair
from judgekit.stages.stage import Made, Stage, read
from judgekit.stats.surface_cues import Contrast, cue_accuracy
from judgekit.store import Workspace


@dataclass(frozen=True, kw_only=True)
class PairCues(Stage):
    """Cues of the better responses, of all pairs and of each source's.

    :param rows: holds the pairs (``FILE.jsonl``)
    :param judgments: of the pairs, which train the judge: the label is then the verdict on which all of them agree
    """

    label = "cues/{data}"
    data: str
    rows: Made[Any]
    file: str = "pairs"
    judgments: Made[Any] | None = None
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Measure them."""
        pairs = self.rows.rows(self.file, ResponsePair)
        said: dict[str, set[str | None]] = {}
        if self.judgments is None:
            said = {pair.id: {pair.label} for pair in pairs}
        else:
            for row in self.judgments.rows("judgments", Judgment):
                said.setdefault(row.id, set()).add(row.verdict)
        by_source: dict[str, list[Contrast]] = {}
        for pair in pairs:
            if (verdicts := said.get(pair.id)) in ({"A"}, {"B"}):
                both = (pair.response_a, pair.response_b)
                better, worse = both if verdicts == {"A"} else both[::-1]
                by_source.setdefault(pair.subset or "", []).append(Contrast(pair.cluster, better, worse))
        for source, found in by_source.items() if len(by_source) > 1 else ():
            _measure(workspace, found, self.seed, f"{source}/")
        _measure(workspace, [one for found in by_source.values() for one in found], self.seed)


@dataclass(frozen=True, kw_only=True)
class PreferenceCues(Stage):
    """Cues of the chosen replies of a preference training.

    :param rows: holds them (``rows.jsonl``)
    """

    label = "cues/{judge}"
    judge: str
    rows: Made[Any]
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Measure them."""
        rows = self.rows.rows("rows", Preference)
        _measure(workspace, (Contrast(str(row.prompt), row.chosen, row.rejected) for row in rows), self.seed)


def _measure(workspace: Workspace, contrasts: Iterable[Contrast], seed: int, prefix: str = "") -> None:
    found = list(contrasts)
    workspace.count(**{f"{prefix}pairs": len(found)})
    numbers: dict[str, float | None] = {}
    for cue, estimate in cue_accuracy(found, seed).items():
        low, high = estimate.ci95 or (None, None)
        numbers |= {
            f"{prefix}{cue}": estimate.value, f"{prefix}{cue}_ci95_low": low, f"{prefix}{cue}_ci95_high": high,
            f"{prefix}n": estimate.n,
        }  # fmt: skip
    workspace.measure(**numbers)
