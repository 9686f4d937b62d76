"""CritiqueLLM (arXiv 2311.18702): a judge of single answers and of pairs, with and without reference, from a teacher.

The teacher critiques single answers against a reference. Everything else is rewritten from that, by two paths:

1. point-ref -> P2P -> pair-ref -> R2RF -> pair-free
2. point-ref -> R2RF -> point-free -> P2P -> pair-free

Comparisons without a reference are kept where both paths agree. The judge is trained on all four kinds, and the
checkpoint is the one whose scores on the validation split correlate best with the teacher's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from judgekit.data.worked_critiques import worked_critiques, worked_reference
from judgekit.errors import StageError
from judgekit.evaluation.judging import rate_responses
from judgekit.evaluation.pointwise import pearson
from judgekit.evaluation.scores import mean_scores, read_scores
from judgekit.preferences.eval_instruct import pair_rows, point_rows, responses_of
from judgekit.prompts.critique_teaching import CritiqueTeaching
from judgekit.prompts.critiquellm import CritiquePair, CritiquePairPrompt, CritiquePoint, known_task
from judgekit.prompts.noisy import answer_prompt
from judgekit.recipes.augmentation import augment_queries
from judgekit.recipes.candidates import candidate_pairs
from judgekit.recipes.critiques import CritiqueStages, point_prompt, read_judgments
from judgekit.recipes.lab import Handle, Judge, Lab, Outcome, section
from judgekit.recipes.measuring import Measured
from judgekit.recipes.stages import PROMPT_TOKENS, make_splits
from judgekit.recipes.teaching import Question, Teacher, answer_fault
from judgekit.recipes.training import train_judge
from judgekit.rows import Demonstration, Instruction, ResponsePair, read_rows, write_rows
from judgekit.schema.critiquellm import CritiqueLLMConfig
from judgekit.store import Artifact, Workspace
from judgekit.weights import Weights

log = logging.getLogger(__name__)

CRITIQUED = ("d1", "validation")
SPLITS = ("held_out", "validation", "warm", "d1", "d2")


def critiquellm(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe, prompt = lab.recipe(CritiqueLLMConfig), lab.prompt(CritiquePairPrompt)
    queries: list[Handle] = []

    def choose(instructions: Handle) -> Handle:
        rules = recipe.augmentation
        found = augment_queries(lab, Teacher(lab), instructions, rules, prompt.style) if rules.enabled else instructions
        queries.append(found)
        return found

    stand_in = recipe.stand_in
    splits = make_splits(lab, stand_in.examples if stand_in.enabled else 0, second_round=False, choose=choose)
    seed = Judge("seed", None)
    teacher = Teacher(lab, train_stand_in(lab, splits, seed) if stand_in.enabled else None)
    pairs = add_references(lab, teacher, queries[0], splits, answer(lab, splits))
    measured = Measured(lab, pairs, CritiquePair(prompt))
    measured.add(seed)

    steps = CritiqueStages(lab, teacher, pairs)
    point_ref = steps.points("d1")
    pair_ref = steps.comparisons("pair_ref", point_ref, referenced=True)
    first = steps.free_comparisons("path1", pair_ref)
    point_free = steps.free_points("d1", point_ref)
    second = steps.comparisons("path2", point_free, referenced=False)
    pair_free = steps.agreed(first, second, cross_validated=recipe.cross_validate)
    rows = training_rows(lab, pairs, point_ref, point_free, pair_ref, pair_free)

    validation = [pairs, steps.points("validation")] if recipe.validate else []
    score = validation_pearson(lab, *validation) if recipe.validate else None
    judge = measured.add(train_judge(lab, "sft", "sft", rows, seed, recipe.sft, score, validation))
    if recipe.votes:
        measured.add(Judge(f"{judge.name}-vote{recipe.votes}", judge.stage, votes=recipe.votes))
    return measured.outcome()


def answer(lab: Lab, splits: Handle) -> dict[str, Handle]:
    """Pairs of the candidates' responses by split; none where the data bring their pairs."""
    recipe, data = lab.recipe(CritiqueLLMConfig), lab.config.data
    sizes = {"d1": data.first_round, "validation": data.validation if recipe.validate else 0}
    return {
        split: candidate_pairs(
            lab, f"candidate_pairs/{split}", splits, f"{split}.jsonl", size, recipe.candidates, None,
            recipe.pairs_per_instruction,
        )
        for split, size in sizes.items()
        if recipe.candidates and size
    }  # fmt: skip


def add_references(
    lab: Lab, teacher: Teacher, queries: Handle, splits: Handle, answered: Mapping[str, Handle]
) -> Handle:
    """The splits once more, with a reference for every pair to be critiqued, and task types as subsets.

    :param answered: stages whose pairs take the place of a split's
    """
    recipe = lab.recipe(CritiqueLLMConfig)
    asks = recipe.references == "teacher"

    def build(workspace: Workspace) -> None:
        assert isinstance(queries, Artifact) and isinstance(splits, Artifact)
        known = {row.id: row for row in read_rows(queries.file("instructions.jsonl"), Instruction)}
        found = {name: _with_tasks(read_rows(_file(splits, answered, name), ResponsePair), known) for name in SPLITS}
        bare = {str(pair.group): pair for name in CRITIQUED for pair in found[name] if not pair.reference}
        if asks:
            questions = [Question(name, answer_prompt(pair.instruction)) for name, pair in bare.items()]
            written = teacher.ask(questions, answer_fault, workspace, "references", tokens=recipe.reference_tokens)
        else:
            texts = {name: worked_reference(known[name], lab.config.seed) for name in bare}
            written = {name: text for name, text in texts.items() if text is not None}
        for name in SPLITS:
            rows = [replace(pair, reference=pair.reference or written.get(str(pair.group))) for pair in found[name]]
            kept = [pair for pair in rows if pair.reference or name not in CRITIQUED]
            if len(rows) > len(kept):
                workspace.drop(f"{name}: no reference", len(rows) - len(kept))
            workspace.count(**{name: len(kept)})
            write_rows(workspace.path / f"{name}.jsonl", kept)

    config = section(recipe, "references", "reference_tokens") | {"seed": lab.config.seed}
    count = lab.config.data.first_round + lab.config.data.validation if asks else 0
    return lab.stage(
        "references", 2, config | (teacher.settings if asks else {}),
        [queries, splits, *answered.values(), *([teacher.source] if asks else [])], build,
        generations=count, tokens=count * (PROMPT_TOKENS + recipe.reference_tokens), note="at most" if count else "",
    )  # fmt: skip


def _file(splits: Artifact, answered: Mapping[str, Handle], name: str) -> Path:
    if name not in answered:
        return splits.file(f"{name}.jsonl")
    stage = answered[name]
    assert isinstance(stage, Artifact)
    return stage.file("pairs.jsonl")


def _with_tasks(pairs: list[ResponsePair], known: dict[str, Instruction]) -> list[ResponsePair]:
    """Pairs of a task type that the protocol knows have it as subset; others keep their source."""
    named = []
    for pair in pairs:
        row = known.get(str(pair.group))
        task = known_task(row.category) if row is not None else None
        named.append(replace(pair, subset=task) if task is not None else pair)
    return named


def training_rows(
    lab: Lab, pairs: Handle, point_ref: Handle, point_free: Handle, pair_ref: Handle, pair_free: Handle
) -> Handle:
    """All four kinds of critiques on the judge's own prompts, which show the reference or not."""
    recipe, prompt = lab.recipe(CritiqueLLMConfig), lab.prompt(CritiquePairPrompt)

    def build(workspace: Workspace) -> None:
        assert isinstance(pairs, Artifact)
        by_id = {pair.id: pair for pair in read_rows(pairs.file("d1.jsonl"), ResponsePair)}
        responses = {row.id: row for row in responses_of(list(by_id.values()))}
        made: list[Demonstration] = []
        for shown, wanted, points, compared in (
            (True, recipe.with_reference, point_ref, pair_ref),
            (False, recipe.without_reference, point_free, pair_free),
        ):
            if not wanted:
                continue
            asked, kind = replace(prompt, reference=shown), "ref" if shown else "free"
            found: list[Demonstration] = []
            if recipe.pointwise:
                assert isinstance(points, Artifact)
                scored = read_scores(points.file("scores.jsonl"))
                found += point_rows(f"point_{kind}", scored, responses, CritiquePoint(point_prompt(asked)))
            if recipe.pairwise:
                for sample in (0, 1):
                    rows = [row for row in read_judgments(compared) if row.sample == sample]
                    name = f"pair_{kind}{sample + 1}"
                    found += pair_rows(name, rows, by_id, CritiquePair(asked), swap=recipe.swap)
            workspace.count(**{"with reference" if shown else "without reference": len(found)})
            made += found
        if not made:
            raise StageError(
                "The teacher's critiques gave no training rows. See in the report what the stages critiques/... "
                "dropped: mend the teacher, or raise data.first_round."
            )
        workspace.count(demonstrations=len(made))
        write_rows(workspace.path / "rows.jsonl", made)

    config = section(recipe, "swap", "with_reference", "without_reference", "pointwise", "pairwise")
    inputs = [pairs, point_ref, point_free, pair_ref, pair_free]
    return lab.stage("critiques/rows", 2, config | {"prompt": asdict(prompt)}, inputs, build)


def validation_pearson(lab: Lab, pairs: Handle, gold: Handle) -> Callable[[Weights], float]:
    """Score of a checkpoint: Pearson's r of its scores with the teacher's on the validation split.

    Replies without a score are left out. -1 where the checkpoint's own scores are all equal, and where fewer than half
    of its replies have one: a few points correlate by chance.

    :raises StageError: (the score) the teacher's are all equal, so that nothing correlates with them
    """
    recipe = lab.recipe(CritiqueLLMConfig)
    prompt = replace(lab.prompt(CritiquePairPrompt), reference=recipe.validation_reference)
    protocol = CritiquePoint(point_prompt(prompt))

    def score(weights: Weights) -> float:
        assert isinstance(pairs, Artifact) and isinstance(gold, Artifact)
        means = mean_scores(read_scores(gold.file("scores.jsonl")))
        taught = {name: value for name, value in means.items() if value is not None}
        if len(set(taught.values())) < 2:
            raise StageError(
                f"The teacher gave all {len(taught)} responses of the validation split the same score, so no "
                "checkpoint can be chosen by it. Raise data.validation, or use recipe.validate=false."
            )
        rows = responses_of(read_rows(pairs.file("validation.jsonl"), ResponsePair))
        rated = rate_responses(
            lab.ask(weights), protocol, [row for row in rows if row.id in taught],
            lab.greedy(lab.config.sampler.judge_tokens), title="validation",
        )  # fmt: skip
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

    return score


def train_stand_in(lab: Lab, splits: Handle, seed: Judge) -> Judge:
    """The seed after SFT on critiques a program writes, on the teacher's own prompts."""
    recipe, prompt = lab.recipe(CritiqueLLMConfig), lab.prompt(CritiquePairPrompt)
    words = CritiqueTeaching(prompt.style, prompt.answer_type)
    point, compare = CritiquePoint(point_prompt(prompt)), CritiquePair(prompt)

    def build(workspace: Workspace) -> None:
        assert isinstance(splits, Artifact)
        known = {row.id: row for row in read_rows(splits.file("warm_instructions.jsonl"), Instruction)}
        rows: list[Demonstration] = []
        for number, given in enumerate(read_rows(splits.file("warm.jsonl"), ResponsePair)):
            instruction = known[str(given.group)]
            worked = worked_critiques(instruction, given, point, compare)
            pair = replace(given, reference=worked_reference(instruction, lab.config.seed))
            if worked is None or pair.reference is None:
                workspace.drop("no worked critique for this task")
                continue
            rows += [
                Demonstration(f"{row.id}/point_ref", words.point(row), text)
                for row, text in zip(responses_of([pair]), worked.points, strict=True)
            ]
            if number % recipe.stand_in.rewrite_every:
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

    config = asdict(prompt) | section(recipe.stand_in, "rewrite_every") | {"seed": lab.config.seed}
    worked = lab.stage("worked_critiques", 1, config, [splits], build)
    return train_judge(lab, "stand_in", "sft", worked, seed, recipe.stand_in.optim, None)
