"""JudgeLM (arXiv 2310.17631): a judge distilled from a teacher's scores and reasons, one order and one epoch at a time.

The teacher reviews every pair twice, without and with a reference answer. The judge is fine-tuned on these reviews;
every epoch draws anew whether a row is swapped and whether its reference is shown, and the target follows both draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

from judgekit.data.judgelm_rows import read_reviewed
from judgekit.errors import StageError
from judgekit.preferences.augmentation import Rates, Reviewed, augmented
from judgekit.prompts.judgelm import JudgeLM, JudgeLMPrompt
from judgekit.prompts.noisy import answer_prompt
from judgekit.recipes.candidates import candidate_pairs
from judgekit.recipes.lab import Handle, Judge, Lab, Outcome
from judgekit.recipes.measuring import Measured, validation
from judgekit.recipes.stages import PROMPT_TOKENS, make_splits
from judgekit.recipes.teaching import Question, Teacher, answer_fault, teach_pairs
from judgekit.recipes.training import train_judge
from judgekit.recipes.warm_start import warm_judge
from judgekit.rows import Demonstration, Judgment, ResponsePair, read_rows, write_rows
from judgekit.schema.recipes import JudgeLMConfig
from judgekit.store import Artifact, Workspace

SPLITS = ("d1", "validation", "held_out")
"""The splits a teacher reviews: those trained on, and those a judge is measured on."""
PLAIN, REFERENCED = "plain", "reference"


def judgelm(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe, protocol = lab.recipe(JudgeLMConfig), JudgeLM(lab.prompt(JudgeLMPrompt))
    seed = Judge("seed", None)
    if recipe.reviews is not None:
        reviewed, judges = read_released(lab, recipe.reviews, protocol), [seed]
    else:
        reviewed, judges = review(lab, seed, protocol)

    measured = Measured(lab, reviewed, protocol)
    for judge in judges:
        measured.add(judge)
    rows = demonstrate(lab, reviewed, protocol)
    validate = validation(lab, reviewed, protocol) if recipe.validate else None
    measured.add(train_judge(lab, "sft", "sft", rows, seed, recipe.sft, validate, [reviewed]))
    return measured.outcome()


def read_released(lab: Lab, path: str, protocol: JudgeLM) -> Handle:
    """The paper's own pairs and reviews, in the files of ``collect``; none are held out."""

    def build(workspace: Workspace) -> None:
        rows = read_reviewed(Path(path), protocol, workspace.drop)
        _write(workspace, [row.pair for row in rows], {row.pair.id: row.plain for row in rows}, {
            row.pair.id: row.referenced for row in rows if row.referenced is not None
        })  # fmt: skip
        for name in ("validation", "held_out"):
            write_rows(workspace.path / f"{name}.jsonl", [])

    settings = {name: asdict(protocol.config)[name] for name in ("low", "high", "margin", "parser")}
    return lab.stage("reviewed", 1, settings, lab.file_inputs(path), build)


def review(lab: Lab, seed: Judge, protocol: JudgeLM) -> tuple[Handle, list[Judge]]:
    """Pairs with the teacher's reviews; and the judges there are: the seed, and what stands in for a teacher."""
    recipe = lab.recipe(JudgeLMConfig)
    start = recipe.warm_start
    warm = start.examples if start.enabled else 0
    splits = make_splits(lab, warm, start.categories, second_round=False)
    tasks = make_tasks(lab, splits)
    judges = [seed]
    if start.enabled:
        judges.append(warm_judge(lab, splits, seed, protocol, start, validation(lab, splits, protocol)))
    teacher = Teacher(lab, judges[-1])
    plain = teach_reviews(lab, teacher, PLAIN, tasks, protocol)
    referenced = teach_reviews(lab, teacher, REFERENCED, tasks, protocol) if recipe.references != "none" else None
    return collect(lab, tasks, plain, referenced), judges


def make_tasks(lab: Lab, splits: Handle) -> Handle:
    """The pairs of all splits (``SPLIT.jsonl``): answers of the candidates, where there are any, and references."""
    recipe = lab.recipe(JudgeLMConfig)
    answered = _answers(lab, splits) if recipe.candidates else None
    if answered is None and recipe.references != "teacher":
        return splits
    teacher = Teacher(lab) if recipe.references == "teacher" else None

    def build(workspace: Workspace) -> None:
        pairs = {name: _pairs(splits, name) for name in SPLITS}
        if answered is not None:
            by_group = {pair.group: pair for pair in _pairs(answered)}
            for name, rows in pairs.items():
                known = [row for row in rows if row.group in by_group]
                pairs[name] = [replace(by_group[row.group], reference=row.reference) for row in known]
        written: dict[str, str] = {}
        if teacher is not None:
            asked = [pair for rows in pairs.values() for pair in rows if pair.reference is None]
            questions = [Question(pair.id, answer_prompt(pair.instruction)) for pair in asked]
            written = teacher.ask(questions, answer_fault, workspace, "references", tokens=recipe.reference_tokens)
        for name, rows in pairs.items():
            found = [replace(pair, reference=pair.reference or _stripped(written.get(pair.id))) for pair in rows]
            write_rows(workspace.path / f"{name}.jsonl", found)
            workspace.count(**{name: len(found)})

    inputs: list[Handle | str] = [splits, *([answered] if answered is not None else [])]
    if teacher is None:
        return lab.stage("tasks", 1, {}, inputs, build)
    total = _count(lab)
    return lab.stage(
        "tasks", 2, teacher.settings | {"tokens": recipe.reference_tokens}, [*inputs, teacher.source], build,
        generations=total, tokens=total * (PROMPT_TOKENS + recipe.reference_tokens), note="at most",
    )  # fmt: skip


def _answers(lab: Lab, splits: Handle) -> Handle:
    """One pair of the candidates' answers to every seed."""

    def build(workspace: Workspace) -> None:
        seeds = [pair for name in SPLITS for pair in _pairs(splits, name)]
        write_rows(workspace.path / "seeds.jsonl", seeds)
        workspace.count(seeds=len(seeds))

    seeds = lab.stage("seeds", 1, {}, [splits], build)
    candidates = lab.recipe(JudgeLMConfig).candidates
    return candidate_pairs(lab, "candidates", seeds, "seeds.jsonl", _count(lab), candidates, None, 1)


def _stripped(text: str | None) -> str | None:
    return text.strip() if text is not None else None


def teach_reviews(lab: Lab, teacher: Teacher, kind: str, tasks: Handle, protocol: JudgeLM) -> Handle:
    """The teacher's reviews of all pairs as they are, response_a first: ``judgments.jsonl``, usable ones only.

    Where its verdicts are constrained it first chooses among ``prompt.score_lines``, then goes on with its reasons.

    :param kind: ``plain`` shows no reference; ``reference`` takes the pairs that have one
    """
    own = teacher.prompt if isinstance(teacher.prompt, JudgeLMPrompt) else protocol.config
    shown = JudgeLM(replace(own, reference=True, fast=False))

    def pairs() -> list[ResponsePair]:
        rows = [pair for name in SPLITS for pair in _pairs(tasks, name)]
        if kind == PLAIN:
            return [replace(pair, reference=None) for pair in rows]
        return [pair for pair in rows if pair.reference is not None]

    total = _count(lab)
    if not teacher.constrained or not shown.verdict_tokens:
        return teach_pairs(
            lab, teacher, f"reviews/{kind}", [tasks], pairs, shown, shown.config, ("ab",), total, usable=_unexplained
        )
    scores = teach_pairs(lab, teacher, f"scores/{kind}", [tasks], pairs, shown, shown.config, ("ab",), total)

    def build(workspace: Workspace) -> None:
        by_id = {pair.id: pair for pair in pairs()}
        begun = {row.id: replace(row, text=f"{row.text}\n") for row in _judgments(scores)}
        questions = [Question(name, shown.judge_prompt(by_id[name], "ab"), row.text) for name, row in begun.items()]
        replies = teacher.ask(
            questions, lambda name, text, cut: _unexplained(name, begun[name].text + text, cut), workspace,
            f"reviews/{kind}",
        )  # fmt: skip
        found = [replace(row, text=row.text + replies[name]) for name, row in begun.items() if name in replies]
        write_rows(workspace.path / "judgments.jsonl", found)

    return lab.stage(
        f"reviews/{kind}", 1, teacher.settings | {"prompt": asdict(shown.config)}, [tasks, scores, teacher.source],
        build, generations=total, tokens=total * (PROMPT_TOKENS + teacher.tokens), note="at most",
    )  # fmt: skip


def _unexplained(name: str, text: str, truncated: bool) -> str | None:
    """Scores alone are not trained on, and neither are reasons that break off."""
    return "cut off" if truncated else None if text.strip().partition("\n")[2].strip() else "no reasons"


def collect(lab: Lab, tasks: Handle, plain: Handle, referenced: Handle | None) -> Handle:
    """Training pairs with their reviews (``d1``, ``plain``, ``reference``), and the splits a judge is measured on.

    Pairs that bring no label get the teacher's. Held-out pairs stand there twice, without and with their reference
    (subsets ``plain`` and ``reference``), each with the label of its own review.
    """

    def build(workspace: Workspace) -> None:
        reviews = {PLAIN: plain} | ({REFERENCED: referenced} if referenced is not None else {})
        found = {kind: {row.id: row for row in _judgments(handle)} for kind, handle in reviews.items()}
        for name, kinds in (("validation", [PLAIN]), ("held_out", list(found))):
            rows = []
            for pair, kind in product(_pairs(tasks, name), kinds):
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
        pairs = []
        for pair in _pairs(tasks, "d1"):
            if pair.id in found[PLAIN]:
                pairs.append(pair)
            else:
                workspace.drop("no usable review without reference")
        texts = {kind: {name: row.text.strip() for name, row in rows.items()} for kind, rows in found.items()}
        _write(workspace, pairs, texts[PLAIN], texts.get(REFERENCED, {}))

    inputs = [tasks, plain, *([referenced] if referenced is not None else [])]
    return lab.stage("reviewed", 1, {}, inputs, build)


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


def demonstrate(lab: Lab, reviewed: Handle, protocol: JudgeLM) -> Handle:
    """What each epoch of fine-tuning shows (``rows.jsonl``), drawn for every row and epoch by itself."""
    recipe, seed = lab.recipe(JudgeLMConfig), lab.config.seed
    # A prompt that leaves the reference out goes with the review that was written without it.
    shown_rate = recipe.reference_rate if protocol.config.reference else 0.0
    rates = Rates(recipe.swap_rate, shown_rate, recipe.swap_ordinals)
    epochs = recipe.sft.epochs

    def build(workspace: Workspace) -> None:
        assert isinstance(reviewed, Artifact)
        texts = {
            kind: {row.id: row.target for row in read_rows(reviewed.file(f"{kind}.jsonl"), Demonstration)}
            for kind in (PLAIN, REFERENCED)
        }
        rows = [Reviewed(one, texts[PLAIN][one.id], texts[REFERENCED].get(one.id)) for one in _pairs(reviewed, "d1")]
        shown = list(augmented(rows, epochs, seed, rates))
        made = [
            Demonstration(f"{one.pair.id}/{epoch}", protocol.judge_prompt(one.pair, one.order), one.target, epoch)
            for epoch, one in shown
        ]
        write_rows(workspace.path / "rows.jsonl", made)
        workspace.count(demonstrations=len(made), swapped=sum(one.order == "ba" for _, one in shown))
        workspace.count(reference_shown=sum(one.pair.reference is not None for _, one in shown))

    settings = asdict(rates) | {"epochs": epochs, "seed": seed, "prompt": asdict(protocol.config)}
    return lab.stage("demonstrations", 2, settings, [reviewed], build)


def _count(lab: Lab) -> int:
    """Pairs that the teacher sees, at most."""
    data = lab.config.data
    return data.first_round + data.validation + data.held_out


def _pairs(stage: Handle, split: str = "pairs") -> list[ResponsePair]:
    assert isinstance(stage, Artifact)
    return read_rows(stage.file(f"{split}.jsonl"), ResponsePair)


def _judgments(stage: Handle) -> list[Judgment]:
    assert isinstance(stage, Artifact)
    return read_rows(stage.file("judgments.jsonl"), Judgment)
