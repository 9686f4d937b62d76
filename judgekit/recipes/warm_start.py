"""The warm start: SFT on judgments a program writes, for seeds too small to write a valid verdict themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from judgekit.data.worked_judgments import Worked, WorkedScore, worked_judgment, worked_responses, worked_score
from judgekit.prompts.base import WorkedPointProtocol, WorkedProtocol, name_response
from judgekit.prompts.meta_judge import MetaJudge, judged
from judgekit.prompts.noisy import answer_prompt
from judgekit.randomness import pick, shuffled
from judgekit.recipes.lab import Handle, Judge, Lab
from judgekit.recipes.training import train_judge
from judgekit.rows import ORDERS, Demonstration, Instruction, Response, ResponsePair, read_rows, write_rows
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


def worked_scores(
    lab: Lab, splits: Handle, protocol: WorkedPointProtocol, every: int = 0, meta: MetaJudge | None = None
) -> Handle:
    """Demonstrations of an actor that scores single responses: what the program writes about its own tasks.

    One judgment a task, of responses that take turns from right to useless; with ``meta`` also one comparison of a
    right and a mistaken judgment; and for every ``every``-th task the task itself with its right response.
    """

    def build(workspace: Workspace) -> None:
        assert isinstance(splits, Artifact)
        by_id = {row.id: row for row in read_rows(splits.file("warm_instructions.jsonl"), Instruction)}
        rows: list[Demonstration] = []
        for number, pair in enumerate(read_rows(splits.file("warm.jsonl"), ResponsePair)):
            responses = worked_responses(by_id[str(pair.group)], pair)
            worked = [worked_score(by_id[str(pair.group)], response) for response in responses]
            known = [(text, found) for text, found in zip(responses, worked, strict=True) if found is not None]
            if not known:
                workspace.drop("no worked judgment for this task")
                continue
            text, right = known[number % len(known)]
            shown = Response(pair.id, pair.instruction, text)
            rows.append(Demonstration(f"{pair.id}/score", protocol.score_prompt(shown), _written(protocol, right)))
            others = [found for _, found in known if found.execution != right.execution]
            if meta is not None and others:
                wrong = pick(others, lab.config.seed, pair.id, "mistaken judgment")
                rows.append(_comparison(shown, right, wrong, protocol, meta, lab.config.seed))
            if every and number % every == 0:
                rows.append(Demonstration(f"{pair.id}/answer", answer_prompt(pair.instruction), responses[0]))
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(demonstrations=len(rows))

    settings = {"prompt": asdict(lab.config.prompt), "every": every, "seed": lab.config.seed}
    settings["meta"] = None if meta is None else asdict(meta.config)
    return lab.stage("worked", 2, settings, [splits], build)


def _written(protocol: WorkedPointProtocol, found: WorkedScore) -> str:
    return protocol.stitch_score(found.plan, found.execution, found.score)


def _comparison(
    shown: Response, right: WorkedScore, wrong: WorkedScore, protocol: WorkedPointProtocol, meta: MetaJudge, seed: int
) -> Demonstration:
    """What the response is, which judgment says so, and the winner; the order is drawn."""
    ordered = shuffled([(right, "right"), (wrong, "wrong")], seed, shown.id, "order of judgments")
    first, second = (_written(protocol, one) for one, _ in ordered)
    pair = ResponsePair(f"{shown.id}/meta", judged(shown.instruction, shown.response), first, second, None)
    lines = [f"{name}: {one.execution} That is {mark}." for name, (one, mark) in zip("AB", ordered, strict=True)]
    winner = "AB"[[mark for _, mark in ordered].index("right")]
    return Demonstration(pair.id, meta.judge_prompt(pair, "ab"), meta.stitch(right.execution, "\n".join(lines), winner))
