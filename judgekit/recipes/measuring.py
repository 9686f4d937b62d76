"""Measuring the judges of a run: on benchmarks as they are made, and on the validation split while they train."""

from __future__ import annotations

from collections.abc import Callable

from judgekit.evaluation.judging import judge_pairs
from judgekit.prompts.base import PairProtocol, PointProtocol
from judgekit.recipes.lab import Handle, Judge, Lab, Outcome
from judgekit.recipes.stages import (
    RANKINGS,
    benchmark_pairs,
    consistent_accuracy,
    judge_benchmark,
    rate_rankings,
    repeat_judgments,
)
from judgekit.rows import ORDERS, ResponsePair, read_rows
from judgekit.store import Artifact
from judgekit.weights import Weights


class Measured:
    """The judges of a run, each measured on every benchmark when it is added."""

    def __init__(
        self, lab: Lab, splits: Handle, protocol: PairProtocol | PointProtocol, rankings: Handle | None = None
    ) -> None:
        """Read the benchmarks; no judge is measured yet.

        :param rankings: held-out ranked responses that judges of single responses score too
        """
        self._lab, self._protocol = lab, protocol
        self._benchmarks = benchmark_pairs(lab, splits)
        self._verdicts: dict[tuple[str, str], Handle] = {}
        self._rankings, self._scores = rankings, dict[tuple[str, str], Handle]()
        self._judges: list[Judge] = []

    def add(self, judge: Judge) -> Judge:
        """Measure a judge and give it back."""
        self._judges.append(judge)
        for name, pairs in self._benchmarks.items():
            self._verdicts[judge.name, name] = judge_benchmark(self._lab, judge, name, pairs, self._protocol)
        if self._rankings is not None and isinstance(self._protocol, PointProtocol):
            found = rate_rankings(self._lab, judge, self._rankings, self._protocol)
            self._scores[judge.name, RANKINGS] = found
        return judge

    def outcome(self, bias: dict[str, Handle] | None = None) -> Outcome:
        """All judges and verdicts, with the repeated judgments of the last one where those are asked for.

        :param bias: bias reports by iteration
        """
        outcome = Outcome(self._judges, self._benchmarks, self._verdicts, scores=self._scores, bias=bias or {})
        if self._lab.config.sampler.flip_pairs:
            last = outcome.final
            for name, pairs in self._benchmarks.items():
                again = repeat_judgments(self._lab, last, name, pairs, self._protocol)
                outcome.repeated[last.name, name] = again
        return outcome


def validation(lab: Lab, splits: Handle, protocol: PairProtocol | PointProtocol) -> Callable[[Weights], float]:
    """Score of a checkpoint: consistent accuracy of greedy judgments on the validation split."""

    def score(weights: Weights) -> float:
        assert isinstance(splits, Artifact)
        pairs = read_rows(splits.file("validation.jsonl"), ResponsePair)
        verdicts = judge_pairs(
            lab.ask(weights),
            protocol,
            pairs,
            ORDERS,
            lab.greedy(lab.config.sampler.judge_tokens),
            constrained=lab.config.sampler.verdict == "constrained",
            title="validation",
        )
        return consistent_accuracy(pairs, verdicts)

    return score
