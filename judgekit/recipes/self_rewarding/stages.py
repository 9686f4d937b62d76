"""Stages that the self-rewarding recipes share: prompts, responses, judgments, the actor's pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from judgekit.bias.base import OFF
from judgekit.errors import StageError
from judgekit.prompts.base import PointProtocol, PromptConfig
from judgekit.prompts.noisy import answer_prompt
from judgekit.prompts.shown import without_thoughts
from judgekit.randomness import shuffled
from judgekit.recipes.self_rewarding.actor_pairs import ActorRules, actor_pairs
from judgekit.recipes.self_rewarding.config import IterationConfig, RewardingConfig
from judgekit.recipes.self_rewarding.new_prompts import NewPrompts
from judgekit.rows import (
    Candidate,
    Instruction,
    Message,
    PointJudgment,
    Preference,
    Response,
    ResponsePair,
    write_rows,
)
from judgekit.sampling.text import TextRequest
from judgekit.stages.data import PROMPT_TOKENS, one_each, planned_size
from judgekit.stages.lab import Lab
from judgekit.stages.models import Drawing, Judge, Model
from judgekit.stages.stage import Made, Planned, Stage, at, read, unkeyed
from judgekit.store import Workspace


@dataclass(frozen=True)
class PointJudging:
    """How judgments of single responses are sampled and read."""

    prompt: PromptConfig = read("prompt")
    tokens: int = read("sampler.judge_tokens")
    drawing: Drawing = Drawing()
    strip_thoughts: bool = read("bias.strip_thoughts", off=False)

    @property
    def protocol(self) -> PointProtocol:
        """How to ask and how to read."""
        protocol = self.prompt.protocol
        assert isinstance(protocol, PointProtocol)
        return protocol

    def ask_of(self, response: Response) -> tuple[Message, ...]:
        """The prompt for one response."""
        (shown,), _ = without_thoughts([response]) if self.strip_thoughts else ([response], 0)
        return self.protocol.score_prompt(shown)


def prompt_pool(lab: Lab, splits: Made[Any]) -> Made[Any]:
    """The prompts of all iterations (``prompts.jsonl``): D1's instructions, or new ones after their pattern."""
    if lab.recipe(RewardingConfig).prompts.source == "self_instruct":
        return lab.make(NewPrompts(splits=splits, model=lab.model(lab.seed)))
    return lab.make(GivenPrompts(splits=splits))


@dataclass(frozen=True, kw_only=True)
class GivenPrompts(Stage):
    """D1's instructions as prompts (``prompts.jsonl``)."""

    label = "given_prompts"
    splits: Made[Any]

    def build(self, workspace: Workspace) -> None:
        """Take them."""
        pairs = one_each(self.splits.rows("d1", ResponsePair))
        rows = [Instruction(str(row.group), row.instruction, str(row.subset), str(row.subset)) for row in pairs]
        write_rows(workspace.path / "prompts.jsonl", rows)
        workspace.count(prompts=len(rows))


def prompts_of(rows: Sequence[Instruction], number: int, count: int | None, seed: int) -> list[Instruction]:
    """The prompts of one iteration: the next ``count`` in a drawn order, from the beginning again after the last."""
    if count is None or count >= len(rows):
        return list(rows)
    order = shuffled(rows, seed, "prompts of iterations")
    return [order[place % len(order)] for place in range(number * count, (number + 1) * count)]


@dataclass(frozen=True, kw_only=True)
class Responses(Stage):
    """K responses of the actor to every prompt of an iteration (``responses.jsonl``); identical ones count once.

    :param number: of the iteration, from 0
    """

    label = "responses/{iteration}"
    iteration: str
    number: int
    pool: Made[Any]
    model: Model
    count: int = read("recipe.responses")
    keep_truncated: bool = read("recipe.keep_truncated")
    per_iteration: int | None = read("recipe.prompts.per_iteration")
    tokens: int = read("data.response_tokens")
    drawing: Drawing = Drawing()
    expected: int = unkeyed("for the plan", 0)

    def build(self, workspace: Workspace) -> None:
        """Ask the actor."""
        found = self.pool.rows("prompts", Instruction)
        prompts = prompts_of(found, self.number, self.per_iteration, self.drawing.seed)
        params, samples = self.drawing.params(self.tokens), tuple(range(self.count))
        requests = [TextRequest(row.id, answer_prompt(row.text), params, samples) for row in prompts]
        replies = self.model.ask(requests, workspace, f"responses of {self.iteration}").generations
        rows: list[Candidate] = []
        for prompt in prompts:
            seen: set[str] = set()
            for sample in samples:
                reply = replies.get((prompt.id, sample))
                if reply is None:
                    continue  # too long to be asked; counted by the sampler
                text = reply.text.strip()
                reason = _unusable(text, seen, reply.finish == "length" and not self.keep_truncated)
                if reason is not None:
                    workspace.drop(reason)
                    continue
                seen.add(text)
                rows.append(Candidate(f"{prompt.id}/r{sample}", prompt.id, prompt.text, text, reply.tokens))
        write_rows(workspace.path / "responses.jsonl", rows)
        workspace.count(prompts=len(prompts), responses=len(rows))
        workspace.measure(
            mean_chars=_mean(len(row.text) for row in rows), mean_tokens=_mean(row.tokens for row in rows)
        )

    @property
    def cost(self) -> Planned:
        """K responses a prompt."""
        total = self.expected * self.count
        return Planned(total, total * (self.tokens + 64), "at most")


def _unusable(text: str, seen: set[str], cut: bool) -> str | None:
    if not text:
        return "empty response"
    if cut:
        return "response cut at data.response_tokens"
    return "identical response" if text in seen else None


@dataclass(frozen=True, kw_only=True)
class PointJudgments(Stage):
    """N judgments of every response, valid or not (``judgments.jsonl``)."""

    label = "point_judgments/{iteration}"
    version = 2
    iteration: str
    responses: Made[Responses]
    model: Model
    count: int = read("recipe.judgments")
    judging: PointJudging = PointJudging()
    expected: int = unkeyed("for the plan", 0)

    def build(self, workspace: Workspace) -> None:
        """Ask the judge."""
        candidates = self.responses.rows("responses", Candidate)
        asked = [Response(row.id, row.instruction, row.text) for row in candidates]
        found = judge_responses(
            self.model, asked, self.judging, self.count, workspace, f"judgments of {self.iteration}"
        )
        write_rows(workspace.path / "judgments.jsonl", found)

    @property
    def cost(self) -> Planned:
        """N judgments a response."""
        total = self.expected * self.count
        return Planned(total, total * (PROMPT_TOKENS + self.judging.tokens), "at most")


def judge_responses(
    model: Model, responses: Sequence[Response], judging: PointJudging, count: int, workspace: Workspace, title: str
) -> list[PointJudgment]:
    """``count`` sampled judgments of every response; the workspace is told how many are valid and their mean."""
    params, samples = judging.drawing.params(judging.tokens), tuple(range(count))
    protocol = judging.protocol
    requests = [TextRequest(row.id, judging.ask_of(row), params, samples) for row in responses]
    replies = model.ask(requests, workspace, title)
    found: list[PointJudgment] = []
    for row in responses:
        for sample in samples:
            reply = replies.generations.get((row.id, sample))
            if reply is None:
                found.append(PointJudgment(row.id, sample, None, replies.refused[row.id], "", 0))
                continue
            reading = protocol.read_score(reply.text, reply.finish == "length")
            found.append(PointJudgment(row.id, sample, reading.score, reading.invalid, reply.text, reply.tokens))
    for judgment in found:
        if judgment.invalid is not None:
            workspace.drop(f"judgment without a score: {judgment.invalid.partition(': ')[0]}")
    scores = [row.score for row in found if row.score is not None]
    workspace.count(responses=len(responses), judgments=len(found), valid=len(scores))
    workspace.measure(mean_score=_mean(scores))
    return found


@dataclass(frozen=True, kw_only=True)
class ActorPairs(Stage):
    """The actor's pairs (``rows.jsonl``), with their scores (``pairs.jsonl``)."""

    label = "actor_pairs/{iteration}"
    iteration: str
    responses: Made[Responses]
    judgments: Made[PointJudgments]
    rules: ActorRules

    def build(self, workspace: Workspace) -> None:
        """Pair them."""
        candidates = self.responses.rows("responses", Candidate)
        found = actor_pairs(candidates, self.judgments.rows("judgments", PointJudgment), self.rules)
        for reason, count in found.dropped.items():
            workspace.drop(reason, count)
        pairs = found.kept
        rows = [
            Preference(
                f"{pair.chosen.id}-{pair.rejected.id.rpartition('/')[2]}", answer_prompt(pair.chosen.instruction),
                pair.chosen.text, pair.rejected.text,
            )
            for pair in pairs
        ]  # fmt: skip
        write_rows(workspace.path / "rows.jsonl", rows)
        write_rows(workspace.path / "pairs.jsonl", pairs)
        workspace.count(pairs=len(pairs))
        upside_down = sum(pair.chosen_score <= pair.rejected_score for pair in pairs)
        if upside_down:
            workspace.count(**{"pairs whose chosen response scores no higher": upside_down})
        workspace.measure(
            chosen_chars=_mean(len(pair.chosen.text) for pair in pairs),
            rejected_chars=_mean(len(pair.rejected.text) for pair in pairs),
            chosen_score=_mean(pair.chosen_score for pair in pairs),
            rejected_score=_mean(pair.rejected_score for pair in pairs),
        )


def overruled(control: Any, scheduled: Any) -> Any:
    """The value of a bias control that wins over the schedule's: null leaves it to that, ``off`` is none."""
    return scheduled if control is None else None if control == OFF else control


@dataclass(frozen=True)
class Iteration:
    """One iteration: its stages, given the models it starts from.

    :param name: of the model it makes
    :param number: from 0
    :param settings: its entry in the schedule
    """

    lab: Lab
    name: str
    number: int
    settings: IterationConfig

    @property
    def prompts(self) -> int:
        """Prompts it has, as far as is known while planning."""
        prompts = self.lab.recipe(RewardingConfig).prompts
        pool = planned_size(self.lab.config.data, "first_round") if prompts.source == "data" else prompts.count
        return min(pool, prompts.per_iteration or pool)

    def sample_responses(self, pool: Made[Any], actor: Judge) -> Made[Responses]:
        """K responses to every prompt."""
        return self.lab.make(
            Responses(
                iteration=self.name, number=self.number, pool=pool, model=self.lab.model(actor), expected=self.prompts
            )
        )

    def score_responses(self, responses: Made[Responses], judge: Judge) -> Made[PointJudgments]:
        """N judgments of every response."""
        expected = self.prompts * self.lab.recipe(RewardingConfig).responses
        return self.lab.make(
            PointJudgments(iteration=self.name, responses=responses, model=self.lab.model(judge), expected=expected)
        )

    def pair_responses(self, responses: Made[Responses], judgments: Made[PointJudgments]) -> Made[ActorPairs]:
        """The best against the worst response; bias controls win over the schedule."""
        bias, settings = self.lab.config.bias, self.settings
        rules = ActorRules(
            seed=at("seed"),
            rho=overruled(bias.rho, settings.rho),
            min_valid=at("recipe.min_valid"),
            max_chars=overruled(bias.max_response_chars, settings.max_response_chars),
        )
        return self.lab.make(ActorPairs(iteration=self.name, responses=responses, judgments=judgments, rules=rules))


@dataclass(frozen=True, kw_only=True)
class JoinedPairs(Stage):
    """All pairs of an iteration in one file (``rows.jsonl``); training draws their order.

    :param makes: the model they make
    """

    label = "preferences/{makes}"
    makes: str
    parts: tuple[Made[Any], ...]

    def build(self, workspace: Workspace) -> None:
        """Join them.

        :raises StageError: there are none
        """
        rows = [row for part in self.parts for row in part.rows("rows", Preference)]
        if not rows:
            reasons = [f"{count} x {why}" for part in self.parts for why, count in part.done.info.dropped.items()]
            raise StageError(
                f"No preferences could be selected in iteration {self.makes} "
                f"({'; '.join(reasons) or 'no responses'}). A seed that writes no scores needs "
                "recipe.warm_start.enabled=true; scores that are all the same need more recipe.responses, more "
                "recipe.judgments or a higher sampler.temperature."
            )
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(preferences=len(rows))


def join_pairs(lab: Lab, name: str, parts: Sequence[Made[Any]]) -> Made[JoinedPairs]:
    """All pairs of an iteration."""
    return lab.make(JoinedPairs(makes=name, parts=tuple(parts)))


def _mean(values: Iterable[float]) -> float | None:
    held = list(values)
    return fmean(held) if held else None
