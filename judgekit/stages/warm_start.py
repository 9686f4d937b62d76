"""The warm start: SFT on judgments a program writes, for seeds too small to write a valid verdict themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from judgekit.data.worked_judgments import Worked, WorkedScore, worked_judgment, worked_responses, worked_score
from judgekit.prompts.base import PromptConfig, WorkedPointProtocol, WorkedProtocol, name_response
from judgekit.prompts.meta_judge import MetaJudge, MetaJudgePrompt, judged
from judgekit.prompts.noisy import answer_prompt
from judgekit.randomness import pick, shuffled
from judgekit.rows import ORDERS, Demonstration, Instruction, Response, ResponsePair, write_rows
from judgekit.schema.warm_start import WarmStartConfig
from judgekit.stages.lab import Lab
from judgekit.stages.models import Judge
from judgekit.stages.stage import Made, Stage, read
from judgekit.stages.training import Validation, train_judge
from judgekit.store import Workspace


def warm_tasks(splits: Made[Any]) -> Iterator[tuple[int, Instruction, ResponsePair]]:
    """The tasks of the warm start with their numbers, instructions and pairs."""
    by_id = {row.id: row for row in splits.rows("warm_instructions", Instruction)}
    for number, pair in enumerate(splits.rows("warm", ResponsePair)):
        yield number, by_id[str(pair.group)], pair


@dataclass(frozen=True, kw_only=True)
class WorkedJudgments(Stage):
    """Demonstrations a program writes for its own tasks: judge prompts in alternating orders (``rows.jsonl``)."""

    label = "worked_judgments"
    splits: Made[Any]
    prompt: PromptConfig = read("prompt")

    def build(self, workspace: Workspace) -> None:
        """Write them."""
        protocol = self.prompt.protocol
        assert isinstance(protocol, WorkedProtocol)
        rows: list[Demonstration] = []
        for number, instruction, pair in warm_tasks(self.splits):
            order = ORDERS[number % 2]
            worked = worked_judgment(instruction, pair, order)
            if worked is None:
                workspace.drop("no worked judgment for this task")
                continue
            position = name_response("A" if pair.label == "A" else "B", order)
            target = protocol.stitch(worked.plan, worked.execution, str(position))
            rows.append(Demonstration(f"{pair.id}/{order}", protocol.judge_prompt(pair, order), target))
            rows += self.further(number, pair, worked)
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(demonstrations=len(rows))

    def further(self, number: int, pair: ResponsePair, worked: Worked) -> list[Demonstration]:
        """What else is shown of a pair beside its judgment."""
        return []


@dataclass(frozen=True, kw_only=True)
class WorkedScores(Stage):
    """Demonstrations of an actor that scores single responses: what a program writes about its own tasks.

    One judgment a task, of responses that take turns from right to useless; with ``meta`` also one comparison of a
    right and a mistaken judgment; and for every ``every``-th task the task itself with its right response.
    """

    label = "worked_scores"
    splits: Made[Any]
    every: int
    meta: MetaJudgePrompt | None
    prompt: PromptConfig = read("prompt")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Write them."""
        protocol = self.prompt.protocol
        assert isinstance(protocol, WorkedPointProtocol)
        meta = MetaJudge(self.meta) if self.meta is not None else None
        rows: list[Demonstration] = []
        for number, instruction, pair in warm_tasks(self.splits):
            responses = worked_responses(instruction, pair)
            worked = [worked_score(instruction, response) for response in responses]
            known = [(text, found) for text, found in zip(responses, worked, strict=True) if found is not None]
            if not known:
                workspace.drop("no worked judgment for this task")
                continue
            text, right = known[number % len(known)]
            shown = Response(pair.id, pair.instruction, text)
            rows.append(Demonstration(f"{pair.id}/score", protocol.score_prompt(shown), _written(protocol, right)))
            others = [found for _, found in known if found.execution != right.execution]
            if meta is not None and others:
                wrong = pick(others, self.seed, pair.id, "mistaken judgment")
                rows.append(_comparison(shown, right, wrong, protocol, meta, self.seed))
            if self.every and number % self.every == 0:
                rows.append(Demonstration(f"{pair.id}/answer", answer_prompt(pair.instruction), responses[0]))
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(demonstrations=len(rows))


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


def warm_judge(lab: Lab, worked: Made[Any], seed: Judge, start: WarmStartConfig, validation: Validation) -> Judge:
    """The seed after its warm start.

    :param worked: stage of the demonstrations
    :param validation: scores checkpoints, for ``start.stop_accuracy``
    """
    early = validation if start.stop_accuracy is not None else None
    return train_judge(lab, "warm", "sft", worked, seed, start.optim, early, start.stop_accuracy)
