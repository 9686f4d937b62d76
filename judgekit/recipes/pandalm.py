"""PandaLM (arXiv 2306.05087): a small judge that learns a stronger model's verdicts, reasons and references.

Several models, tuned alike, answer the same instructions; a teacher compares every two of their responses in both
orders; pairs whose verdict changes with the order are dropped; the seed is fine-tuned on what is kept.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from math import comb
from typing import Any

from judgekit.data.worked import worked_judgment
from judgekit.preferences.agreement import agreed
from judgekit.prompts.base import name_response
from judgekit.prompts.pandalm import PandaLM, PandaLMPrompt, Parts
from judgekit.recipes.candidates import candidate_pairs
from judgekit.recipes.judgments import write_training_rows
from judgekit.recipes.lab import Handle, Judge, Lab, Outcome
from judgekit.recipes.measuring import Measured, validation
from judgekit.recipes.stages import make_splits, orders
from judgekit.recipes.teaching import Teacher, teach_pairs
from judgekit.recipes.training import train_judge
from judgekit.rows import ORDERS, Demonstration, Instruction, Judgment, ResponsePair, read_rows, write_rows
from judgekit.schema.recipes import PandaLMConfig
from judgekit.store import Artifact, Workspace


def pandalm(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe, protocol = lab.recipe(PandaLMConfig), PandaLM(lab.prompt(PandaLMPrompt))
    splits = make_splits(lab, warm_examples(recipe), recipe.warm_start.categories, second_round=False)
    validate = validation(lab, splits, protocol) if recipe.validate else None
    measured = Measured(lab, splits, protocol)
    seed = measured.add(Judge("seed", None))

    asked = teacher_prompt(lab)
    stand_in = warm_teacher(lab, splits, seed, asked) if recipe.warm_start.enabled else None
    pairs = candidate_pairs(
        lab, "candidate_pairs", splits, "d1.jsonl", lab.config.data.first_round, recipe.candidates, recipe.tuning,
        recipe.pairs_per_instruction,
    )  # fmt: skip
    judgments = teach(lab, Teacher(lab, stand_in), pairs, asked)
    lessons = keep_agreeing(lab, pairs, judgments, protocol, asked)
    measured.add(train_judge(lab, "sft", "sft", lessons, seed, recipe.sft, validate, [splits]))
    return measured.outcome()


def warm_examples(recipe: PandaLMConfig) -> int:
    """Instructions set apart for what needs labelled pairs: a stand-in teacher, candidates tuned without a file."""
    tuning = recipe.tuning
    return max(
        recipe.warm_start.examples if recipe.warm_start.enabled else 0,
        tuning.examples if tuning.enabled and tuning.path is None else 0,
    )


def teacher_prompt(lab: Lab) -> PandaLMPrompt:
    """How the teacher is asked."""
    prompt = lab.config.teacher.prompt
    return prompt if isinstance(prompt, PandaLMPrompt) else PandaLMPrompt(style="teacher")


def warm_teacher(lab: Lab, splits: Handle, seed: Judge, asked: PandaLMPrompt) -> Judge:
    """The seed after SFT on judgments a program writes in the teacher's format."""
    start, protocol = lab.recipe(PandaLMConfig).warm_start, PandaLM(asked)

    def build(workspace: Workspace) -> None:
        assert isinstance(splits, Artifact)
        by_id = {row.id: row for row in read_rows(splits.file("warm_instructions.jsonl"), Instruction)}
        rows: list[Demonstration] = []
        for number, pair in enumerate(read_rows(splits.file("warm.jsonl"), ResponsePair)[: start.examples]):
            worked = worked_judgment(by_id[str(pair.group)], pair, order := ORDERS[number % 2])
            position = name_response(pair.label, order)
            if worked is None or position is None:
                workspace.drop("no worked judgment for this task")
                continue
            findings = worked.execution.replace("Answer A:", "Response 1:").replace("Answer B:", "Response 2:")
            better = pair.response_a if pair.label == "A" else pair.response_b
            target = protocol.target(Parts(position, f"{worked.plan}\n{findings}", better))
            rows.append(Demonstration(f"{pair.id}/{order}", protocol.judge_prompt(pair, order), target))
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(demonstrations=len(rows))

    config = asdict(asked) | {"examples": start.examples}
    worked = lab.stage("worked", 1, config, [splits], build)
    early = validation(lab, splits, protocol) if start.stop_accuracy is not None else None
    return train_judge(lab, "teacher", "sft", worked, seed, start.optim, early, [splits], start.stop_accuracy)


def teach(lab: Lab, teacher: Teacher, pairs: Handle, asked: PandaLMPrompt) -> Handle:
    """The teacher's judgments of all pairs, in both orders where ``bias.both_orders`` says so."""
    recipe, protocol = lab.recipe(PandaLMConfig), PandaLM(asked)
    per_instruction = comb(len(recipe.candidates), 2)
    count = lab.config.data.first_round * min(per_instruction, recipe.pairs_per_instruction or per_instruction)

    def lacks_parts(_: str, text: str, truncated: bool) -> str | None:
        # In the judge's format the reference comes last, so a reply cut off within it has all parts.
        if truncated:
            return "cut off"
        parts = protocol.parts(text)
        return None if isinstance(parts, Parts) else parts

    def rows() -> list[ResponsePair]:
        assert isinstance(pairs, Artifact)
        return read_rows(pairs.file("pairs.jsonl"), ResponsePair)

    return teach_pairs(
        lab, teacher, "judgments/teacher", [pairs], rows, protocol, asked, orders(lab), count, usable=lacks_parts
    )


def keep_agreeing(lab: Lab, pairs: Handle, judgments: Handle, protocol: PandaLM, asked: PandaLMPrompt) -> Handle:
    """Demonstrations in the judge's format from judgments that agree in both orders."""
    recipe, bias, seed = lab.recipe(PandaLMConfig), lab.config.bias, lab.config.seed
    rules: dict[str, Any] = {
        "drop_conflicting": bias.drop_conflicting,
        "tie_conflicts": recipe.tie_conflicts,
        "balance_labels": bias.balance_labels,
        "max_chars": bias.max_judgment_chars,
    }

    def build(workspace: Workspace) -> None:
        assert isinstance(pairs, Artifact) and isinstance(judgments, Artifact)
        taught = read_rows(judgments.file("judgments.jsonl"), Judgment)
        found = agreed([_rewritten(row, asked, protocol) for row in taught], seed, orders=orders(lab), **rules)
        known = read_rows(pairs.file("pairs.jsonl"), ResponsePair)
        write_training_rows(
            workspace, "demonstrations", "teacher's judgments", found.kept, found.dropped, known, protocol, REMEDY
        )

    config = rules | {"orders": list(orders(lab)), "seed": seed, "prompt": asdict(lab.config.prompt)}
    return lab.stage("demonstrations/teacher", 1, config, [pairs, judgments], build)


def _rewritten(row: Judgment, asked: PandaLMPrompt, protocol: PandaLM) -> Judgment:
    """A teacher's judgment as the judge is to write it."""
    parts = PandaLM(asked).parts(row.text)
    assert isinstance(parts, Parts), "the teacher's stage keeps whole judgments only"
    return replace(row, text=protocol.target(parts))


REMEDY = (
    "A teacher whose verdicts all change with the order is no better than chance: give a stronger one with teacher=, "
    "or warm up the stand-in with recipe.warm_start.enabled=true."
)
