"""Stages in which a teacher writes and rewrites critiques (CritiqueLLM, Eval-Instruct).

Pointwise critiques are score rows with ids ``PAIR/a`` and ``PAIR/b``, comparisons are judgments in order ``ab``. Every
stage keeps only what passes the rules of ``critique_rules``; what does not is counted and no later step sees it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from judgekit.prompts.critiquellm import CritiquePair, CritiquePairPrompt, CritiquePoint, CritiquePointPrompt
from judgekit.recipes.critiquellm.critique_rules import pair_fault, point_fault, read_critique
from judgekit.recipes.critiquellm.eval_instruct import cross_validate, responses_of
from judgekit.recipes.critiquellm.teaching_prompts import CritiqueTeaching
from judgekit.rows import Judgment, ResponsePair, write_rows
from judgekit.score_rows import ScoreRow, read_scores
from judgekit.stages.stage import Made, Planned, Stage, read, unkeyed
from judgekit.stages.teaching import Question, Teacher, teacher_cost
from judgekit.store import Workspace

Split = Literal["d1", "validation"]


@dataclass(frozen=True, kw_only=True)
class CritiqueStage(Stage):
    """A step of the teacher on the pairs of a run.

    :param pairs: stage that holds them by split, with references
    """

    version = 2
    teacher: Teacher
    pairs: Made[Any]
    prompt: CritiquePairPrompt = read("prompt")
    expected: int = unkeyed("for the plan", 0)

    @property
    def words(self) -> CritiqueTeaching:
        """How the teacher is asked."""
        return CritiqueTeaching(self.prompt.style, self.prompt.answer_type)

    @property
    def scored(self) -> CritiquePoint:
        """How its critiques of single responses are read: strictly, however the judge's own replies are."""
        return CritiquePoint(point_prompt(replace(self.prompt, parser="strict")))

    @property
    def cost(self) -> Planned:
        """A critique each."""
        return teacher_cost(self.teacher, self.expected)

    def read_pairs(self, split: Split) -> list[ResponsePair]:
        """The pairs of a split, with references."""
        return self.pairs.rows(split, ResponsePair)

    def _compare(self, workspace: Workspace, questions: Sequence[Question], title: str, referenced: bool) -> None:
        compared = CritiquePair(replace(self.prompt, parser="strict"))
        names = {pair.id: self.words.dimensions(pair.subset) for pair in self.read_pairs("d1")}

        def fault(name: str, text: str, truncated: bool) -> str | None:
            return pair_fault(text, truncated, compared, names[name], referenced=referenced)

        replies = self.teacher.ask(questions, fault, workspace, title, verdicts=compared)
        rows = [
            Judgment(name, "ab", 0, compared.read(text, False).verdict, None, text) for name, text in replies.items()
        ]
        for verdict in ("A", "B", "tie"):
            workspace.count(**{verdict: sum(row.verdict == verdict for row in rows)})
        write_rows(workspace.path / "judgments.jsonl", rows)

    def _write_scores(self, workspace: Workspace, replies: Mapping[str, str]) -> None:
        rows = [
            ScoreRow(name, 0, self.scored.read_score(text, False).score, None, text) for name, text in replies.items()
        ]
        for score in sorted({row.score for row in rows if row.score is not None}):
            workspace.count(**{f"score {score:g}": sum(row.score == score for row in rows)})
        write_rows(workspace.path / "scores.jsonl", rows)


@dataclass(frozen=True, kw_only=True)
class Points(CritiqueStage):
    """A critique of every response against its reference (``scores.jsonl``)."""

    label = "critiques/{split}/point_ref"
    split: Split

    def build(self, workspace: Workspace) -> None:
        """Ask the teacher."""
        rows = responses_of(self.read_pairs(self.split))
        names = {row.id: self.words.dimensions(row.subset) for row in rows}

        def fault(name: str, text: str, truncated: bool) -> str | None:
            return point_fault(text, truncated, self.scored, names[name], referenced=True)

        questions = [Question(row.id, self.words.point(row)) for row in rows]
        replies = self.teacher.ask(questions, fault, workspace, f"critiques of {self.split}", verdicts=self.scored)
        self._write_scores(workspace, replies)


@dataclass(frozen=True, kw_only=True)
class FreePoints(CritiqueStage):
    """Path 2: the same critiques rewritten without their reference, as a second turn (R2RF)."""

    label = "critiques/{split}/point_free"
    split: Split
    points: Made[Points]

    def build(self, workspace: Workspace) -> None:
        """Ask the teacher."""
        by_id = {row.id: row for row in responses_of(self.read_pairs(self.split))}
        found = {row.id: row.text for row in read_points(self.points)}
        names = {name: self.words.dimensions(by_id[name].subset) for name in found}
        before = {name: read_critique(text, self.scored, names[name]) for name, text in found.items()}

        def fault(name: str, text: str, truncated: bool) -> str | None:
            return point_fault(text, truncated, self.scored, names[name], referenced=False, before=before[name])

        questions = [Question(name, self.words.unreference_point(by_id[name], text)) for name, text in found.items()]
        replies = self.teacher.ask(questions, fault, workspace, "critiques: R2RF", verdicts=self.scored)
        self._write_scores(workspace, replies)


@dataclass(frozen=True, kw_only=True)
class Comparisons(CritiqueStage):
    """Comparisons of the D1 pairs both of whose responses have a critique (P2P; ``judgments.jsonl``)."""

    label = "critiques/d1/{path}"
    path: str
    points: Made[Any]
    referenced: bool

    def build(self, workspace: Workspace) -> None:
        """Ask the teacher."""
        pairs, found = self.read_pairs("d1"), {row.id: row.text for row in read_points(self.points)}
        both = {
            pair.id: (found[f"{pair.id}/a"], found[f"{pair.id}/b"])
            for pair in pairs
            if f"{pair.id}/a" in found and f"{pair.id}/b" in found
        }
        if len(pairs) > len(both):
            workspace.drop("a response without a critique", len(pairs) - len(both))
        questions = [
            Question(pair.id, self.words.compare(pair, both[pair.id], referenced=self.referenced))
            for pair in pairs
            if pair.id in both
        ]
        self._compare(workspace, questions, f"comparisons: {self.path}", self.referenced)


@dataclass(frozen=True, kw_only=True)
class FreeComparisons(CritiqueStage):
    """Path 1: comparisons rewritten without their reference (R2RF; ``judgments.jsonl``)."""

    label = "critiques/d1/path1"
    comparisons: Made[Comparisons]

    def build(self, workspace: Workspace) -> None:
        """Ask the teacher."""
        by_id = {pair.id: pair for pair in self.read_pairs("d1")}
        questions = [
            Question(row.id, self.words.unreference_pair(by_id[row.id], row.text))
            for row in self.comparisons.rows("judgments", Judgment)
        ]
        self._compare(workspace, questions, "comparisons: R2RF", False)


@dataclass(frozen=True, kw_only=True)
class AgreedComparisons(Stage):
    """Comparisons without a reference that both paths agree on, both texts of each (``judgments.jsonl``).

    Sample 0 is that of path 1, sample 1 that of path 2.

    :param cross_validated: false: all of both paths
    """

    label = "critiques/d1/pair_free"
    first: Made[FreeComparisons]
    second: Made[Comparisons]
    cross_validated: bool = read("recipe.cross_validate")

    def build(self, workspace: Workspace) -> None:
        """Compare the paths."""
        one, two = self.first.rows("judgments", Judgment), self.second.rows("judgments", Judgment)
        found = cross_validate(one, two)
        if self.cross_validated:
            for reason, count in found.dropped.items():
                workspace.drop(reason, count)
            one, two = [row for row, _ in found.kept], [row for _, row in found.kept]
        workspace.count(agreeing=len(found.kept), comparisons=len(one) + len(two))
        second_texts = [Judgment(**asdict(row) | {"sample": 1}) for row in two]
        write_rows(workspace.path / "judgments.jsonl", [*one, *second_texts])


def point_prompt(prompt: CritiquePairPrompt) -> CritiquePointPrompt:
    """The protocol for single responses that goes with one for pairs."""
    return CritiquePointPrompt(
        style=prompt.style,
        answer_type=prompt.answer_type,
        reference=prompt.reference,
        plain=prompt.plain,
        parser=prompt.parser,
    )


def read_points(stage: Made[Any]) -> list[ScoreRow]:
    """The critiques of single responses of a stage."""
    return read_scores(stage.file("scores.jsonl"))
