"""CritiqueLLM's own stages: references, the stand-in's lessons, the judge's training rows, choosing a checkpoint."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

from judgekit.errors import StageError
from judgekit.evaluation.judging import rate_responses
from judgekit.prompts.critiquellm import CritiquePair, CritiquePairPrompt, CritiquePoint, known_task
from judgekit.prompts.noisy import answer_prompt
from judgekit.recipes.critiquellm.critiques import AgreedComparisons, Comparisons, Points, point_prompt, read_points
from judgekit.recipes.critiquellm.eval_instruct import pair_rows, point_rows, responses_of
from judgekit.recipes.critiquellm.teaching_prompts import CritiqueTeaching
from judgekit.recipes.critiquellm.worked_critiques import worked_critiques, worked_reference
from judgekit.rows import Demonstration, Instruction, Judgment, ResponsePair, write_rows
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextSampler
from judgekit.score_rows import mean_scores
from judgekit.stages.candidates import CandidatePairs
from judgekit.stages.stage import Made, Planned, Stage, read, unkeyed
from judgekit.stages.teaching import Question, Teacher, answer_fault, teacher_cost
from judgekit.stages.warm_start import warm_tasks
from judgekit.stats.correlation import pearson
from judgekit.store import Workspace

log = logging.getLogger(__name__)

CRITIQUED = ("d1", "validation")
SPLITS = ("held_out", "validation", "warm", "d1", "d2")


@dataclass(frozen=True, kw_only=True)
class References(Stage):
    """The splits once more, with a reference for every pair to be critiqued, and task types as subsets.

    :param answered: stages whose pairs take the place of a split's
    :param teacher: writes references where there is none; None: a program does, for its own tasks
    """

    label = "references"
    queries: Made[Any]
    splits: Made[Any]
    answered: dict[str, Made[CandidatePairs]]
    teacher: Teacher | None
    tokens: int = read("recipe.reference_tokens")
    seed: int = read("seed")
    expected: int = unkeyed("for the plan", 0)

    def build(self, workspace: Workspace) -> None:
        """Write them."""
        known = {row.id: row for row in self.queries.rows("instructions", Instruction)}
        found = {name: _with_tasks(self._pairs(name), known) for name in SPLITS}
        bare = {str(pair.group): pair for name in CRITIQUED for pair in found[name] if not pair.reference}
        if self.teacher is not None:
            questions = [Question(name, answer_prompt(pair.instruction)) for name, pair in bare.items()]
            written = self.teacher.ask(questions, answer_fault, workspace, "references", tokens=self.tokens)
        else:
            texts = {name: worked_reference(known[name], self.seed) for name in bare}
            written = {name: text for name, text in texts.items() if text is not None}
        for name in SPLITS:
            rows = [replace(pair, reference=pair.reference or written.get(str(pair.group))) for pair in found[name]]
            kept = [pair for pair in rows if pair.reference or name not in CRITIQUED]
            if len(rows) > len(kept):
                workspace.drop(f"{name}: no reference", len(rows) - len(kept))
            workspace.count(**{name: len(kept)})
            write_rows(workspace.path / f"{name}.jsonl", kept)

    def _pairs(self, name: str) -> list[ResponsePair]:
        if name in self.answered:
            return self.answered[name].rows("pairs", ResponsePair)
        return self.splits.rows(name, ResponsePair)

    @property
    def cost(self) -> Planned:
        """A reference a pair."""
        return Planned() if self.teacher is None else teacher_cost(self.teacher, self.expected, self.tokens)


def _with_tasks(pairs: list[ResponsePair], known: dict[str, Instruction]) -> list[ResponsePair]:
    """Pairs of a task type that the protocol knows have it as subset; others keep their source."""
    named = []
    for pair in pairs:
        row = known.get(str(pair.group))
        task = known_task(row.category) if row is not None else None
        named.append(replace(pair, subset=task) if task is not None else pair)
    return named


@dataclass(frozen=True, kw_only=True)
class CritiqueRows(Stage):
    """All four kinds of critiques on the judge's own prompts, which show the reference or not (``rows.jsonl``)."""

    label = "critiques/rows"
    pairs: Made[References]
    point_ref: Made[Points]
    point_free: Made[Any]
    pair_ref: Made[Comparisons]
    pair_free: Made[AgreedComparisons]
    swap: bool = read("recipe.swap")
    with_reference: bool = read("recipe.with_reference")
    without_reference: bool = read("recipe.without_reference")
    pointwise: bool = read("recipe.pointwise")
    pairwise: bool = read("recipe.pairwise")
    prompt: CritiquePairPrompt = read("prompt")

    def build(self, workspace: Workspace) -> None:
        """Write them.

        :raises StageError: there are none
        """
        by_id = {pair.id: pair for pair in self.pairs.rows("d1", ResponsePair)}
        responses = {row.id: row for row in responses_of(list(by_id.values()))}
        made: list[Demonstration] = []
        for shown, wanted, points, compared in (
            (True, self.with_reference, self.point_ref, self.pair_ref),
            (False, self.without_reference, self.point_free, self.pair_free),
        ):
            if not wanted:
                continue
            asked, kind = replace(self.prompt, reference=shown), "ref" if shown else "free"
            found: list[Demonstration] = []
            if self.pointwise:
                point = CritiquePoint(point_prompt(asked))
                found += point_rows(f"point_{kind}", read_points(points), responses, point)
            if self.pairwise:
                for sample in (0, 1):
                    rows = [row for row in compared.rows("judgments", Judgment) if row.sample == sample]
                    name = f"pair_{kind}{sample + 1}"
                    found += pair_rows(name, rows, by_id, CritiquePair(asked), swap=self.swap)
            workspace.count(**{"with reference" if shown else "without reference": len(found)})
            made += found
        if not made:
            raise StageError(
                "The teacher's critiques gave no training rows. See in the report what the stages critiques/... "
                "dropped: mend the teacher, or raise data.first_round."
            )
        workspace.count(demonstrations=len(made))
        write_rows(workspace.path / "rows.jsonl", made)


@dataclass(frozen=True)
class PearsonWithTeacher:
    """Score of a checkpoint: Pearson's r of its scores with the teacher's on the validation split.

    Replies without a score are left out. -1 where the checkpoint's own scores are all equal, and where fewer than half
    of its replies have one: a few points correlate by chance.
    """

    pairs: Made[References]
    gold: Made[Points]
    reference: bool = read("recipe.validation_reference")
    prompt: CritiquePairPrompt = read("prompt")
    tokens: int = read("sampler.judge_tokens")
    beams: int = read("sampler.beams", off=1)
    repetition_penalty: float = read("sampler.repetition_penalty", off=1.0)

    def score(self, model: TextSampler) -> float:
        """The correlation.

        :raises StageError: the teacher's scores are all equal, so that nothing correlates with them
        """
        protocol = CritiquePoint(point_prompt(replace(self.prompt, reference=self.reference)))
        means = mean_scores(read_points(self.gold))
        taught = {name: value for name, value in means.items() if value is not None}
        if len(set(taught.values())) < 2:
            raise StageError(
                f"The teacher gave all {len(taught)} responses of the validation split the same score, so no "
                "checkpoint can be chosen by it. Raise data.validation, or use recipe.validate=false."
            )
        rows = responses_of(self.pairs.rows("validation", ResponsePair))
        params = SamplingParams(0.0, 1.0, self.tokens, beams=self.beams, repetition_penalty=self.repetition_penalty)
        rated = rate_responses(model, protocol, [row for row in rows if row.id in taught], params, title="validation")
        own = mean_scores(rated)
        both = [(taught[name], value) for name, value in own.items() if value is not None]
        few = 2 * len(both) < len(own)
        if len(own) > len(both):
            told = ", more than half: the checkpoint counts as -1" if few else ""
            log.info("validation: %d of %d replies without a score%s", len(own) - len(both), len(own), told)
        if few:
            return -1.0
        found = pearson([gold for gold, _ in both], [value for _, value in both])
        return found if found is not None else -1.0


@dataclass(frozen=True, kw_only=True)
class WorkedCritiques(Stage):
    """Critiques a program writes, on the teacher's own prompts (``rows.jsonl``)."""

    label = "worked_critiques"
    splits: Made[Any]
    rewrite_every: int = read("recipe.stand_in.rewrite_every")
    prompt: CritiquePairPrompt = read("prompt")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Write them."""
        words = CritiqueTeaching(self.prompt.style, self.prompt.answer_type)
        point, compare = CritiquePoint(point_prompt(self.prompt)), CritiquePair(self.prompt)
        rows: list[Demonstration] = []
        for number, instruction, given in warm_tasks(self.splits):
            worked = worked_critiques(instruction, given, point, compare)
            pair = replace(given, reference=worked_reference(instruction, self.seed))
            if worked is None or pair.reference is None:
                workspace.drop("no worked critique for this task")
                continue
            rows += [
                Demonstration(f"{row.id}/point_ref", words.point(row), text)
                for row, text in zip(responses_of([pair]), worked.points, strict=True)
            ]
            if number % self.rewrite_every:
                continue
            for row, text, free in zip(responses_of([pair]), worked.points, worked.free_points, strict=True):
                rows.append(Demonstration(f"{row.id}/point_free", words.unreference_point(row, text), free))
            prompts = {
                "pair_ref": (words.compare(pair, worked.points, referenced=True), worked.comparison),
                "path1": (words.unreference_pair(pair, worked.comparison), worked.free_comparison),
                "path2": (words.compare(pair, worked.free_points, referenced=False), worked.free_comparison),
            }
            rows += [Demonstration(f"{pair.id}/{name}", *made) for name, made in prompts.items()]
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(demonstrations=len(rows))
