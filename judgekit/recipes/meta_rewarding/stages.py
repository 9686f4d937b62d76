"""Stages of the meta-judge: comparing judgments, the judge's pairs, and what it adds to the bias report."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from judgekit.evaluation.iteration_bias import MetaReport, collapse, report_meta
from judgekit.evaluation.judging import judge_pairs as compare
from judgekit.preferences import judgment_battles as battles
from judgekit.preferences.judgment_battles import Contests, contests
from judgekit.prompts.meta_judge import MetaJudge, MetaJudgePrompt, judged
from judgekit.prompts.shown import without_thought
from judgekit.randomness import draw_bits
from judgekit.recipes.meta_rewarding.config import CollapseConfig, MetaRewardingConfig
from judgekit.recipes.self_rewarding.stages import Iteration, PointJudging, PointJudgments, Responses, overruled
from judgekit.rows import ORDERS, Candidate, Judgment, PointJudgment, Preference, Response, ResponsePair, write_rows
from judgekit.stages.bias_report import BiasReport, read_bias
from judgekit.stages.data import PROMPT_TOKENS
from judgekit.stages.lab import Lab
from judgekit.stages.models import Drawing, Judge, Model
from judgekit.stages.stage import Made, Planned, Stage, read, unkeyed
from judgekit.store import Workspace


@dataclass(frozen=True)
class Compared:
    """Which judgments are compared: those of one response a prompt, of at most ``prompts`` prompts, drawn by id."""

    prompts: int | None = read("recipe.meta.prompts")
    min_valid: int = read("recipe.min_valid")
    seed: int = read("seed")

    def find(self, responses: Made[Responses], judgments: Made[PointJudgments]) -> Contests:
        """Them."""
        found = contests(
            responses.rows("responses", Candidate), judgments.rows("judgments", PointJudgment), self.min_valid,
            self.seed,
        )  # fmt: skip
        limit = self.prompts
        if limit is not None and len(found.kept) > limit:
            found.dropped["prompt over recipe.meta.prompts"] += len(found.kept) - limit
            ranked = sorted(found.kept, key=lambda one: draw_bits(self.seed, one.candidate.prompt_id, "meta prompts"))
            chosen = {one.candidate.prompt_id for one in ranked[:limit]}
            found.kept = [one for one in found.kept if one.candidate.prompt_id in chosen]
        return found


@dataclass(frozen=True, kw_only=True)
class Comparisons(Stage):
    """The meta-judge on every pair of judgments of a response, in both orders (``comparisons.jsonl``)."""

    label = "comparisons/{iteration}"
    version = 2
    iteration: str
    responses: Made[Responses]
    judgments: Made[PointJudgments]
    model: Model
    compared: Compared = Compared()
    prompt: MetaJudgePrompt = read("recipe.meta.prompt")
    tokens: int = read("recipe.meta.tokens")
    drawing: Drawing = Drawing()
    strip_thoughts: bool = read("bias.strip_thoughts", off=False)
    expected: int = unkeyed("for the plan", 0)

    def build(self, workspace: Workspace) -> None:
        """Ask the meta-judge."""
        found = self.compared.find(self.responses, self.judgments)
        for reason, count in found.dropped.items():
            workspace.drop(reason, count)
        said = without_thought if self.strip_thoughts else str
        pairs = [
            ResponsePair(
                key, judged(one.candidate.instruction, said(one.candidate.text)), said(a.text), said(b.text), None
            )
            for one in found.kept
            for key, a, b in one.pairs
        ]
        verdicts = compare(
            self.model.open(), MetaJudge(self.prompt), pairs, ORDERS, self.drawing.params(self.tokens),
            workspace=workspace, title=f"comparisons of {self.iteration}",
        )  # fmt: skip
        rows = [Judgment(v.id, v.order, v.sample, v.verdict, v.invalid, v.text) for v in verdicts]
        for row in verdicts:
            if row.verdict is None:
                workspace.drop(f"comparison without a winner: {row.reason}")
        write_rows(workspace.path / "comparisons.jsonl", rows)
        valid = sum(row.verdict is not None for row in rows)
        workspace.count(responses=len(found.kept), comparisons=len(rows), valid=valid)

    @property
    def cost(self) -> Planned:
        """Every two judgments of a response."""
        return Planned(self.expected, self.expected * (2 * PROMPT_TOKENS + self.tokens), "at most")


def compare_judgments(
    iteration: Iteration, responses: Made[Responses], judgments: Made[PointJudgments], judge: Judge
) -> Made[Comparisons]:
    """The meta-judge's comparisons of an iteration."""
    recipe = iteration.lab.recipe(MetaRewardingConfig)
    pairs = recipe.judgments * (recipe.judgments - 1) // 2
    expected = min(iteration.prompts, recipe.meta.prompts or iteration.prompts) * pairs * len(ORDERS)
    return iteration.lab.make(
        Comparisons(
            iteration=iteration.name, responses=responses, judgments=judgments, model=iteration.lab.model(judge),
            expected=expected,
        )
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class JudgePairs(Stage):
    """The judge's pairs (``rows.jsonl``), with their scores and Elo strengths (``pairs.jsonl``).

    :param alpha: of Elo's penalty
    :param max_chars: longest chosen judgment, characters
    """

    label = "judge_pairs/{iteration}"
    iteration: str
    responses: Made[Responses]
    judgments: Made[PointJudgments]
    comparisons: Made[Comparisons]
    max_chars: int | None
    compared: Compared = Compared()
    alpha: float = read("recipe.meta.elo_penalty")
    judging: PointJudging = PointJudging()

    def build(self, workspace: Workspace) -> None:
        """Pair them."""
        found = battles.contest_pairs(
            self.compared.find(self.responses, self.judgments).kept, self.comparisons.rows("comparisons", Judgment),
            seed=self.compared.seed, alpha=self.alpha, max_chars=self.max_chars,
        )  # fmt: skip
        for reason, count in found.dropped.items():
            workspace.drop(reason, count)
        rows = []
        for pair in found.kept:
            shown = Response(pair.candidate.id, pair.candidate.instruction, pair.candidate.text)
            key = battles.comparison(pair.candidate, pair.chosen, pair.rejected)
            rows.append(Preference(key, self.judging.ask_of(shown), pair.chosen.text, pair.rejected.text))
        write_rows(workspace.path / "rows.jsonl", rows)
        write_rows(workspace.path / "pairs.jsonl", found.kept)
        workspace.count(pairs=len(rows))
        if rows:
            workspace.measure(
                chosen_chars=fmean(len(row.chosen) for row in rows),
                rejected_chars=fmean(len(row.rejected) for row in rows),
                chosen_score=fmean(pair.chosen.score or 0.0 for pair in found.kept),
                rejected_score=fmean(pair.rejected.score or 0.0 for pair in found.kept),
            )


def pair_judgments(
    iteration: Iteration, responses: Made[Responses], judgments: Made[PointJudgments], comparisons: Made[Comparisons]
) -> Made[JudgePairs]:
    """The judge's pairs of an iteration; bias controls win over the schedule."""
    max_chars = overruled(iteration.lab.config.bias.max_judgment_chars, iteration.settings.max_judgment_chars)
    return iteration.lab.make(
        JudgePairs(
            iteration=iteration.name, responses=responses, judgments=judgments, comparisons=comparisons,
            max_chars=max_chars,
        )
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MetaBiasReport(BiasReport):
    """The bias report of an iteration with a meta-judge, and what that prefers."""

    label = "meta_bias/{iteration}"
    comparisons: Made[Comparisons]
    compared: Compared = Compared()
    higher_score: float = read("recipe.meta.collapse.higher_score")
    position: float = read("recipe.meta.collapse.position")
    least: int = read("recipe.meta.collapse.least")

    def meta_report(self) -> tuple[MetaReport | None, list[str]]:
        """How the meta-judge compared, and why it is said to have collapsed."""
        compared = self.compared.find(self.responses, self.judgments).kept
        meta = report_meta(compared, self.comparisons.rows("comparisons", Judgment), seed=self.seed)
        return meta, collapse(meta, higher_score=self.higher_score, position=self.position, least=self.least)


def collapsed(lab: Lab, report: Made[Any], limits: CollapseConfig) -> bool:
    """Whether the meta-judge has collapsed by a report, with a note that says so; not known while planning."""
    if lab.planning:
        return False
    held = read_bias(report)
    reasons = held["collapsed"]
    assert isinstance(reasons, list)
    if reasons:
        what = "its pairs are left out from here on"
        if not limits.stop:
            what = "recipe.meta.collapse.stop=true would leave out its pairs from here on"
        lab.record.note(f"The meta-judge of iteration {held['name']} has collapsed: {' and '.join(reasons)}; {what}.")
    return bool(reasons)
