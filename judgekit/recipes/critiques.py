"""Stages in which a teacher writes and rewrites critiques (CritiqueLLM, Eval-Instruct).

Pointwise critiques are score rows with ids ``PAIR/a`` and ``PAIR/b``, comparisons are judgments in order ``ab``. Every
stage keeps only what passes the rules of ``prompts.critiques``; what does not is counted and no later step sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Literal

from judgekit.evaluation.scores import ScoreRow, read_scores
from judgekit.preferences.eval_instruct import cross_validate, responses_of
from judgekit.prompts.critique_teaching import CritiqueTeaching
from judgekit.prompts.critiquellm import CritiquePair, CritiquePairPrompt, CritiquePoint, CritiquePointPrompt
from judgekit.prompts.critiques import pair_fault, point_fault, read_critique
from judgekit.recipes.lab import Handle, Lab
from judgekit.recipes.stages import PROMPT_TOKENS
from judgekit.recipes.teaching import Question, Teacher
from judgekit.rows import Judgment, ResponsePair, read_rows, write_rows
from judgekit.store import Artifact, Workspace

Split = Literal["d1", "validation"]


class CritiqueStages:
    """The teacher's steps on the pairs of a run.

    :param pairs: stage that holds them by split, with references
    """

    def __init__(self, lab: Lab, teacher: Teacher, pairs: Handle) -> None:
        self._lab, self._teacher, self._pairs = lab, teacher, pairs
        prompt = lab.prompt(CritiquePairPrompt)
        self._style = prompt.style
        self._words = CritiqueTeaching(prompt.style, prompt.answer_type)
        self._compared = CritiquePair(prompt)
        self._scored = CritiquePoint(point_prompt(prompt))

    def points(self, split: Split) -> Handle:
        """A critique of every response against its reference."""

        def build(workspace: Workspace) -> None:
            rows = responses_of(self.read_pairs(split))
            names = {row.id: self._words.dimensions(row.subset) for row in rows}

            def read(name: str, text: str, truncated: bool) -> str | None:
                return point_fault(text, truncated, self._scored, names[name], referenced=True)

            questions = [Question(row.id, self._words.point(row)) for row in rows]
            replies = self._teacher.ask(questions, read, workspace, f"critiques of {split}", verdicts=self._scored)
            self._write_scores(workspace, replies)

        return self._stage(f"critiques/{split}/point_ref", [self._pairs], build, 2 * self._size(split))

    def free_points(self, split: Split, points: Handle) -> Handle:
        """Path 2: the same critiques rewritten without their reference, as a second turn (R2RF)."""

        def build(workspace: Workspace) -> None:
            by_id = {row.id: row for row in responses_of(self.read_pairs(split))}
            found = {row.id: row.text for row in _scores(points)}
            names = {name: self._words.dimensions(by_id[name].subset) for name in found}
            before = {name: read_critique(text, self._scored, names[name]) for name, text in found.items()}

            def read(name: str, text: str, truncated: bool) -> str | None:
                return point_fault(
                    text, truncated, self._scored, names[name], referenced=False, before=before[name]
                )  # fmt: skip

            questions = [
                Question(name, self._words.unreference_point(by_id[name], text)) for name, text in found.items()
            ]
            replies = self._teacher.ask(questions, read, workspace, "critiques: R2RF", verdicts=self._scored)
            self._write_scores(workspace, replies)

        inputs = [self._pairs, points]
        return self._stage(f"critiques/{split}/point_free", inputs, build, 2 * self._size(split))

    def comparisons(self, name: str, points: Handle, *, referenced: bool) -> Handle:
        """Comparisons of the D1 pairs both of whose responses have a critique (P2P)."""

        def build(workspace: Workspace) -> None:
            pairs, found = self.read_pairs("d1"), {row.id: row.text for row in _scores(points)}
            both = {
                pair.id: (found[f"{pair.id}/a"], found[f"{pair.id}/b"])
                for pair in pairs
                if f"{pair.id}/a" in found and f"{pair.id}/b" in found
            }
            if len(pairs) > len(both):
                workspace.drop("a response without a critique", len(pairs) - len(both))
            questions = [
                Question(pair.id, self._words.compare(pair, both[pair.id], referenced=referenced))
                for pair in pairs
                if pair.id in both
            ]
            self._compare(workspace, questions, f"comparisons: {name}", referenced)

        return self._stage(f"critiques/d1/{name}", [self._pairs, points], build, self._size("d1"))

    def free_comparisons(self, name: str, comparisons: Handle) -> Handle:
        """Path 1: comparisons rewritten without their reference (R2RF)."""

        def build(workspace: Workspace) -> None:
            by_id = {pair.id: pair for pair in self.read_pairs("d1")}
            questions = [
                Question(row.id, self._words.unreference_pair(by_id[row.id], row.text))
                for row in read_judgments(comparisons)
            ]
            self._compare(workspace, questions, "comparisons: R2RF", False)

        return self._stage(f"critiques/d1/{name}", [self._pairs, comparisons], build, self._size("d1"))

    def agreed(self, first: Handle, second: Handle, *, cross_validated: bool) -> Handle:
        """Comparisons without a reference that both paths agree on, both texts of each (``judgments.jsonl``).

        Sample 0 is that of path 1, sample 1 that of path 2.

        :param cross_validated: false: all of both paths
        """

        def build(workspace: Workspace) -> None:
            one, two = read_judgments(first), read_judgments(second)
            found = cross_validate(one, two)
            if cross_validated:
                for reason, count in found.dropped.items():
                    workspace.drop(reason, count)
                one, two = [row for row, _ in found.kept], [row for _, row in found.kept]
            workspace.count(agreeing=len(found.kept), comparisons=len(one) + len(two))
            second_texts = [Judgment(**asdict(row) | {"sample": 1}) for row in two]
            write_rows(workspace.path / "judgments.jsonl", [*one, *second_texts])

        config = {"cross_validated": cross_validated}
        return self._lab.stage("critiques/d1/pair_free", 1, config, [first, second], build)

    def read_pairs(self, split: Split) -> list[ResponsePair]:
        """The pairs of a split, with references."""
        assert isinstance(self._pairs, Artifact)
        return read_rows(self._pairs.file(f"{split}.jsonl"), ResponsePair)

    def _compare(self, workspace: Workspace, questions: Sequence[Question], title: str, referenced: bool) -> None:
        names = {pair.id: self._words.dimensions(pair.subset) for pair in self.read_pairs("d1")}

        def read(name: str, text: str, truncated: bool) -> str | None:
            return pair_fault(text, truncated, self._compared, names[name], referenced=referenced)

        replies = self._teacher.ask(questions, read, workspace, title, verdicts=self._compared)
        rows = [
            Judgment(name, "ab", 0, self._compared.read(text, False).verdict, None, text)
            for name, text in replies.items()
        ]
        for verdict in ("A", "B", "tie"):
            workspace.count(**{verdict: sum(row.verdict == verdict for row in rows)})
        write_rows(workspace.path / "judgments.jsonl", rows)

    def _write_scores(self, workspace: Workspace, replies: Mapping[str, str]) -> None:
        rows = [
            ScoreRow(name, 0, self._scored.read_score(text, False).score, None, text) for name, text in replies.items()
        ]
        for score in sorted({row.score for row in rows if row.score is not None}):
            workspace.count(**{f"score {score:g}": sum(row.score == score for row in rows)})
        write_rows(workspace.path / "scores.jsonl", rows)

    def _stage(self, name: str, inputs: Sequence[Handle], build: Callable[[Workspace], None], count: int) -> Handle:
        config = self._teacher.settings | {"style": self._style, "answer_type": self._words.default}
        return self._lab.stage(
            name, 2, config, [*inputs, self._teacher.source], build,
            generations=count, tokens=count * (PROMPT_TOKENS + self._teacher.tokens), note="at most",
        )  # fmt: skip

    def _size(self, split: Split) -> int:
        data = self._lab.config.data
        return data.first_round if split == "d1" else data.validation


def point_prompt(prompt: CritiquePairPrompt) -> CritiquePointPrompt:
    """The protocol for single responses that goes with one for pairs."""
    return CritiquePointPrompt(
        style=prompt.style, answer_type=prompt.answer_type, reference=prompt.reference, plain=prompt.plain
    )


def read_judgments(stage: Handle) -> list[Judgment]:
    """The comparisons of a stage."""
    assert isinstance(stage, Artifact)
    return read_rows(stage.file("judgments.jsonl"), Judgment)


def _scores(stage: Handle) -> list[ScoreRow]:
    assert isinstance(stage, Artifact)
    return read_scores(stage.file("scores.jsonl"))
