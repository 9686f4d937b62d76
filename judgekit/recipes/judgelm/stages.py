"""JudgeLM's own stages: tasks with references, the teacher's reviews of them, and what each epoch shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from judgekit.errors import StageError
from judgekit.prompts.judgelm import JudgeLM, JudgeLMPrompt
from judgekit.prompts.noisy import answer_prompt
from judgekit.recipes.judgelm.augmentation import Rates, augmented
from judgekit.recipes.judgelm.augmentation import Reviewed as ReviewedPair
from judgekit.recipes.judgelm.released_rows import read_reviewed
from judgekit.rows import Demonstration, Judgment, Order, ResponsePair, write_rows
from judgekit.stages.candidates import CandidatePairs
from judgekit.stages.data import one_each
from judgekit.stages.stage import Digest, Made, Planned, Stage, read, unkeyed
from judgekit.stages.teaching import Question, TaughtJudgments, Teacher, answer_fault, teacher_cost
from judgekit.store import Workspace

SPLITS = ("d1", "validation", "held_out")
"""The splits a teacher reviews: those trained on, and those a judge is measured on."""
PLAIN = "plain"
REFERENCED = "reference"


@dataclass(frozen=True, kw_only=True)
class ReleasedReviews(Stage):
    """The paper's own pairs and reviews, in the files of ``Reviewed``; none are held out."""

    label = "released_reviews"
    digest: Digest
    path: str = unkeyed("its digest is a field")
    low: float = read("prompt.low")
    high: float = read("prompt.high")
    margin: float = read("prompt.margin")
    parser: str = read("prompt.parser")

    def build(self, workspace: Workspace) -> None:
        """Read them."""
        values: dict[str, Any] = {name: getattr(self, name) for name in ("low", "high", "margin", "parser")}
        rows = read_reviewed(Path(self.path), JudgeLM(JudgeLMPrompt(**values)), workspace.drop)
        _write(workspace, [row.pair for row in rows], {row.pair.id: row.plain for row in rows}, {
            row.pair.id: row.referenced for row in rows if row.referenced is not None
        })  # fmt: skip
        for name in ("validation", "held_out"):
            write_rows(workspace.path / f"{name}.jsonl", [])


@dataclass(frozen=True, kw_only=True)
class Seeds(Stage):
    """The pairs of all splits in one file (``seeds.jsonl``), for candidates to answer."""

    label = "seeds"
    splits: Made[Any]

    def build(self, workspace: Workspace) -> None:
        """Join them."""
        seeds = [pair for name in SPLITS for pair in self.splits.rows(name, ResponsePair)]
        write_rows(workspace.path / "seeds.jsonl", seeds)
        workspace.count(seeds=len(seeds))


@dataclass(frozen=True, kw_only=True)
class Tasks(Stage):
    """The pairs of all splits (``SPLIT.jsonl``) with the candidates' answers and the teacher's references.

    :param answered: pairs of the candidates' answers; None: as the splits have them
    :param teacher: writes references where there is none; None: nobody does
    """

    label = "tasks"
    splits: Made[Any]
    answered: Made[CandidatePairs] | None
    teacher: Teacher | None
    tokens: int = read("recipe.reference_tokens")
    expected: int = unkeyed("for the plan", 0)

    def build(self, workspace: Workspace) -> None:
        """Make them."""
        pairs = {name: self.splits.rows(name, ResponsePair) for name in SPLITS}
        if self.answered is not None:
            by_group = {pair.group: pair for pair in self.answered.rows("pairs", ResponsePair)}
            for name, rows in pairs.items():
                known = [row for row in one_each(rows) if row.group in by_group]
                pairs[name] = [replace(by_group[row.group], reference=row.reference) for row in known]
        written: dict[str, str] = {}
        if self.teacher is not None:
            asked = [pair for rows in pairs.values() for pair in rows if pair.reference is None]
            questions = [Question(pair.id, answer_prompt(pair.instruction)) for pair in asked]
            written = self.teacher.ask(questions, answer_fault, workspace, "references", tokens=self.tokens)
        for name, rows in pairs.items():
            found = [replace(pair, reference=pair.reference or _stripped(written.get(pair.id))) for pair in rows]
            write_rows(workspace.path / f"{name}.jsonl", found)
            workspace.count(**{name: len(found)})

    @property
    def cost(self) -> Planned:
        """A reference a pair."""
        return Planned() if self.teacher is None else teacher_cost(self.teacher, self.expected, self.tokens)


def _stripped(text: str | None) -> str | None:
    return text.strip() if text is not None else None


@dataclass(frozen=True, kw_only=True)
class Reviews(TaughtJudgments):
    """The teacher's reviews of all pairs as they are, response_a first, usable ones only.

    :param kind: ``plain`` shows no reference; ``reference`` takes the pairs that have one
    """

    label = "reviews/{kind}"
    version = 2
    kind: str
    tasks: Made[Any]
    prompt: JudgeLMPrompt
    orders: tuple[Order, ...] = ("ab",)

    def pairs(self) -> Sequence[ResponsePair]:
        """All pairs without their references, or those that have one."""
        return reviewed_pairs(self.tasks, self.kind)

    def unusable(self, text: str, truncated: bool) -> str | None:
        """It says scores alone, or breaks off."""
        return _unexplained(text, truncated)


@dataclass(frozen=True, kw_only=True)
class ScoreLines(Reviews):
    """The teacher's score lines alone, chosen among those its protocol allows."""

    label = "score_lines/{kind}"

    def unusable(self, text: str, truncated: bool) -> str | None:
        """Reasons follow later."""
        return None


@dataclass(frozen=True, kw_only=True)
class ReasonedReviews(Stage):
    """Reviews that go on from score lines with reasons (``judgments.jsonl``)."""

    label = "reasoned_reviews/{kind}"
    kind: str
    tasks: Made[Any]
    scores: Made[ScoreLines]
    teacher: Teacher
    prompt: JudgeLMPrompt
    expected: int = unkeyed("for the plan", 0)

    def build(self, workspace: Workspace) -> None:
        """Ask for the reasons."""
        protocol = JudgeLM(self.prompt)
        by_id = {pair.id: pair for pair in reviewed_pairs(self.tasks, self.kind)}
        begun = {row.id: replace(row, text=f"{row.text}\n") for row in self.scores.rows("judgments", Judgment)}
        questions = [Question(name, protocol.judge_prompt(by_id[name], "ab"), row.text) for name, row in begun.items()]
        replies = self.teacher.ask(
            questions, lambda name, text, cut: _unexplained(begun[name].text + text, cut), workspace, self.name
        )
        found = [replace(row, text=row.text + replies[name]) for name, row in begun.items() if name in replies]
        write_rows(workspace.path / "judgments.jsonl", found)

    @property
    def cost(self) -> Planned:
        """Every pair once."""
        return teacher_cost(self.teacher, self.expected)


def reviewed_pairs(tasks: Made[Any], kind: str) -> list[ResponsePair]:
    """The pairs that are reviewed without (``plain``) or with their reference."""
    rows = [pair for name in SPLITS for pair in tasks.rows(name, ResponsePair)]
    if kind == PLAIN:
        return [replace(pair, reference=None) for pair in rows]
    return [pair for pair in rows if pair.reference is not None]


def _unexplained(text: str, truncated: bool) -> str | None:
    """Scores alone are not trained on, and neither are reasons that break off."""
    return "cut off" if truncated else None if text.strip().partition("\n")[2].strip() else "no reasons"


@dataclass(frozen=True, kw_only=True)
class Reviewed(Stage):
    """Training pairs with their reviews (``d1``, ``plain``, ``reference``), and the splits a judge is measured on.

    Pairs that bring no label get the teacher's. Held-out pairs stand there twice, without and with their reference
    (subsets ``plain`` and ``reference``), each with the label of its own review.
    """

    label = "reviewed"
    tasks: Made[Any]
    plain: Made[Any]
    referenced: Made[Any] | None

    def build(self, workspace: Workspace) -> None:
        """Collect them."""
        reviews = {PLAIN: self.plain} | ({REFERENCED: self.referenced} if self.referenced is not None else {})
        found = {kind: {row.id: row for row in made.rows("judgments", Judgment)} for kind, made in reviews.items()}
        for name, kinds in (("validation", [PLAIN]), ("held_out", list(found))):
            self._measured_on(name, kinds, found, workspace)
        pairs = []
        for pair in self.tasks.rows("d1", ResponsePair):
            if pair.id in found[PLAIN]:
                pairs.append(pair)
            else:
                workspace.drop("no usable review without reference")
        texts = {kind: {name: row.text.strip() for name, row in rows.items()} for kind, rows in found.items()}
        _write(workspace, pairs, texts[PLAIN], texts.get(REFERENCED, {}))

    def _measured_on(
        self, name: str, kinds: Sequence[str], found: Mapping[str, Mapping[str, Judgment]], workspace: Workspace
    ) -> None:
        rows = []
        for pair, kind in product(self.tasks.rows(name, ResponsePair), kinds):
            said = found[kind].get(pair.id)
            verdict = pair.label or (said.verdict if said is not None else None)
            if kind == REFERENCED and pair.reference is None:
                continue
            if verdict is None:
                workspace.drop(f"{name}: neither a label nor a review ({kind})")
                continue
            shown = replace(pair, label=verdict, subset=kind)
            own = {"reference": None} if kind == PLAIN else {"id": f"{pair.id}/{kind}"}
            rows.append(replace(shown, **own))
        write_rows(workspace.path / f"{name}.jsonl", rows)
        workspace.count(**{name: len(rows)})


def _write(
    workspace: Workspace, pairs: Sequence[ResponsePair], plain: Mapping[str, str], referenced: Mapping[str, str]
) -> None:
    """Pairs to train on, and of their reviews those without and with reference.

    :raises StageError: when there are none
    """
    if not pairs:
        raise StageError("There is no usable review of any training pair, so there is nothing to train on.")
    write_rows(workspace.path / "d1.jsonl", pairs)
    for kind, texts in ((PLAIN, plain), (REFERENCED, referenced)):
        rows = [Demonstration(pair.id, (), texts[pair.id]) for pair in pairs if pair.id in texts]
        write_rows(workspace.path / f"{kind}.jsonl", rows)
        workspace.count(**{f"reviews_{kind}": len(rows)})


@dataclass(frozen=True, kw_only=True)
class Demonstrations(Stage):
    """What each epoch of fine-tuning shows (``rows.jsonl``), drawn for every row and epoch by itself."""

    label = "demonstrations/epochs"
    reviewed: Made[Any]
    prompt: JudgeLMPrompt = read("prompt")
    epochs: int = read("recipe.sft.epochs")
    swap_rate: float = read("recipe.swap_rate")
    reference_rate: float = read("recipe.reference_rate")
    swap_ordinals: bool = read("recipe.swap_ordinals")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Draw them."""
        protocol = JudgeLM(self.prompt)
        # A prompt that leaves the reference out goes with the review that was written without it.
        rates = Rates(self.swap_rate, self.reference_rate if self.prompt.reference else 0.0, self.swap_ordinals)
        texts = {
            kind: {row.id: row.target for row in self.reviewed.rows(kind, Demonstration)}
            for kind in (PLAIN, REFERENCED)
        }
        pairs = self.reviewed.rows("d1", ResponsePair)
        rows = [ReviewedPair(one, texts[PLAIN][one.id], texts[REFERENCED].get(one.id)) for one in pairs]
        shown = list(augmented(rows, self.epochs, self.seed, rates))
        made = [
            Demonstration(f"{one.pair.id}/{epoch}", protocol.judge_prompt(one.pair, one.order), one.target, epoch)
            for epoch, one in shown
        ]
        write_rows(workspace.path / "rows.jsonl", made)
        workspace.count(demonstrations=len(made), swapped=sum(one.order == "ba" for _, one in shown))
        workspace.count(reference_shown=sum(one.pair.reference is not None for _, one in shown))
