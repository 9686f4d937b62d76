"""The warm start: SFT on judgments a program writes, for seeds too small to write a valid verdict themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from judgekit.data.worked import Worked, worked_judgment
from judgekit.prompts.base import WorkedProtocol, name_response
from judgekit.recipes.lab import Handle, Judge, Lab
from judgekit.recipes.training import train_judge
from judgekit.rows import ORDERS, Demonstration, Instruction, ResponsePair, read_rows, write_rows
from judgekit.schema.warm_start import WarmStartConfig
from judgekit.store import Artifact, Workspace
from judgekit.weights import Weights

Further = Callable[[ResponsePair, Worked], Demonstration]
"""A further demonstration on a pair, beside its judgment."""


def warm_judge(
    lab: Lab,
    splits: Handle,
    seed: Judge,
    protocol: WorkedProtocol,
    start: WarmStartConfig,
    score: Callable[[Weights], float],
    further: Further | None = None,
) -> Judge:
    """The seed after its warm start.

    :param score: consistent accuracy on the validation split, for ``start.stop_accuracy``
    :param further: also shown for every ``start.plan_every``-th pair
    """
    worked = worked_judgments(lab, splits, protocol, start.plan_every if further else 0, further)
    early = score if start.stop_accuracy is not None else None
    return train_judge(lab, "warm", "sft", worked, seed, start.optim, early, [splits], start.stop_accuracy)


def worked_judgments(
    lab: Lab, splits: Handle, protocol: WorkedProtocol, every: int = 0, further: Further | None = None
) -> Handle:
    """Demonstrations a program writes for its own tasks: judge prompts in alternating orders."""

    def build(workspace: Workspace) -> None:
        assert isinstance(splits, Artifact)
        by_id = {row.id: row for row in read_rows(splits.file("warm_instructions.jsonl"), Instruction)}
        rows: list[Demonstration] = []
        for number, pair in enumerate(read_rows(splits.file("warm.jsonl"), ResponsePair)):
            order = ORDERS[number % 2]
            worked = worked_judgment(by_id[str(pair.group)], pair, order)
            if worked is None:
                workspace.drop("no worked judgment for this task")
                continue
            position = name_response("A" if pair.label == "A" else "B", order)
            target = protocol.stitch(worked.plan, worked.execution, str(position))
            rows.append(Demonstration(f"{pair.id}/{order}", protocol.judge_prompt(pair, order), target))
            if further is not None and every and number % every == 0:
                rows.append(further(pair, worked))
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(demonstrations=len(rows))

    return lab.stage("worked", 1, asdict(lab.config.prompt) | {"plan_every": every}, [splits], build)
