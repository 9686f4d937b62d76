"""EvalPlanner's own stages: chains of plan, execution and verdict, and the training rows selected from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from judgekit.data.worked_judgments import Worked
from judgekit.prompts.base import Reading, name_response
from judgekit.prompts.evalplanner import PLAN_START, EvalPlanner, EvalPlannerPrompt
from judgekit.recipes.evalplanner.plan_execution import ChainRules, Selection, select
from judgekit.rows import ORDERS, Demonstration, Judgment, Order, ResponsePair, Verdict, write_rows
from judgekit.sampling.text import TextRequest, ask_for_verdict
from judgekit.stages.controls import RowControls, row_controls
from judgekit.stages.data import PROMPT_TOKENS, orders
from judgekit.stages.models import Drawing, Model
from judgekit.stages.selecting import write_training_rows
from judgekit.stages.stage import Made, Planned, Stage, at, read, unkeyed
from judgekit.stages.warm_start import WorkedJudgments
from judgekit.store import Workspace

EXECUTION_STRIDE = 100_000
"""Sample indices set apart for the executions of each repetition of one plan, so that equal plans differ in them."""

Mode = Literal["prompt", "chain", "prefill"]


@dataclass(frozen=True, kw_only=True)
class WorkedChains(WorkedJudgments):
    """Worked judgments, and the plan prompt with its plan for every ``plan_every``-th pair; 0: never.

    :param executed: show the execution prompt with its execution too
    """

    label = "worked_chains"
    version = 2
    plan_every: int
    executed: bool

    def further(self, number: int, pair: ResponsePair, worked: Worked) -> list[Demonstration]:
        """The plan alone, and what follows from it."""
        if not self.plan_every or number % self.plan_every:
            return []
        assert isinstance(self.prompt, EvalPlannerPrompt)
        protocol = EvalPlanner(self.prompt)
        target = f"{PLAN_START}\n{worked.plan}\n{protocol.plan_stop}"
        shown = [Demonstration(f"{pair.id}/plan", protocol.plan_prompt(pair.instruction), target)]
        if self.executed:
            order = ORDERS[number % 2]
            position = name_response("A" if pair.label == "A" else "B", order)
            prompt = protocol.execution_prompt(pair, order, worked.plan)
            target = f"{worked.execution.strip()}\n[[{position}]]"
            shown.append(Demonstration(f"{pair.id}/execution", prompt, target))
        return shown


@dataclass(frozen=True, kw_only=True)
class Chains(Stage):
    """|P| plans an instruction, |E| executions a plan and order; every chain is kept, right, wrong or invalid.

    :param plan_mode: ``prompt``: plans from the plan prompt, which sees the instruction only; ``chain``: plans
        stripped from the beginnings of whole chains
    :param execution_mode: ``prompt``: from the execution prompt; ``prefill``: the judge prompt continued after the plan
    """

    label = "chains/{split}"
    version = 2
    split: str
    splits: Made[Any]
    model: Model
    plan_mode: Mode
    execution_mode: Mode
    plans: int = read("recipe.plans")
    executions: int = read("recipe.executions")
    plan_tokens: int = read("sampler.plan_tokens")
    execution_tokens: int = read("sampler.execution_tokens")
    verdict: str = read("sampler.verdict")
    prompt: EvalPlannerPrompt = read("prompt")
    both_orders: bool = read("bias.both_orders")
    drawing: Drawing = Drawing()
    expected: int = unkeyed("for the plan", 0)

    def build(self, workspace: Workspace) -> None:
        """Sample plans, then their executions."""
        pairs = self.splits.rows(self.split, ResponsePair)
        plans = self._plans(pairs, workspace)
        chains = self._executions(pairs, plans, workspace)
        for chain in chains:
            if chain.invalid is not None:
                workspace.drop(f"chain without a verdict: {chain.invalid}")
        planned = sum(plan is not None for found in plans.values() for plan in found)
        workspace.count(instructions=len(pairs), plans=planned, chains=len(chains))
        workspace.count(valid=sum(chain.verdict is not None for chain in chains))
        write_rows(workspace.path / "chains.jsonl", chains)

    @property
    def cost(self) -> Planned:
        """Plans and executions."""
        shown = len(orders(self.both_orders))
        plans = self.expected * self.plans
        chains = plans * self.executions * shown
        tokens = plans * self.plan_tokens + chains * self.execution_tokens
        return Planned(plans + chains, tokens + plans * (1 + shown) * PROMPT_TOKENS, "at most")

    @property
    def _protocol(self) -> EvalPlanner:
        return EvalPlanner(self.prompt)

    def _plans(self, pairs: Sequence[ResponsePair], workspace: Workspace) -> dict[str, list[str | None]]:
        """Plans by pair id, None where a sample gave none; their numbers are sample indices."""
        protocol, count, shown = self._protocol, self.plans, orders(self.both_orders)
        params = self.drawing.params(self.plan_tokens, (protocol.plan_stop,))
        requests: list[TextRequest] = []
        for pair in pairs:
            if self.plan_mode == "prompt":
                prompt = protocol.plan_prompt(pair.instruction)
                requests.append(TextRequest(pair.id, prompt, params, tuple(range(count)), protocol.plan_prefill))
                continue
            # Orders take turns, so that plans of one instruction do not all come from one order.
            for place, order in enumerate(shown):
                samples = tuple(range(place, count, len(shown)))
                if samples:
                    prompt = protocol.judge_prompt(pair, order)
                    requests.append(TextRequest(f"{pair.id}/{order}", prompt, params, samples))
        replies = self.model.ask(requests, workspace, "plans")
        plans: dict[str, list[str | None]] = {pair.id: [None] * count for pair in pairs}
        for request in requests:
            for sample in request.samples:
                reply = replies.generations.get((request.id, sample))
                if reply is None:
                    continue
                text = reply.text.rpartition(PLAN_START)[2].strip()
                if reply.finish != "stop" or not text:
                    workspace.drop("plan truncated" if reply.finish == "length" else "plan without its end tag")
                    continue
                pair_id = request.id if self.plan_mode == "prompt" else request.id.rpartition("/")[0]
                plans[pair_id][sample] = text
        return plans

    def _executions(
        self, pairs: Sequence[ResponsePair], plans: dict[str, list[str | None]], workspace: Workspace
    ) -> list[Judgment]:
        """|E| executions of every plan in every order."""
        requests, meant = self._execution_requests(pairs, plans)
        read = self._replies(requests, workspace)
        chains = []
        for request, (pair, order, number, plan) in zip(requests, meant, strict=True):
            for place, sample in enumerate(request.samples):
                if (request.id, sample) in read:
                    text, truncated = read[request.id, sample]
                    index = number * self.executions + place
                    chains.append(self._chain(pair, order, number, index, plan, text, truncated))
        return chains

    def _execution_requests(
        self, pairs: Sequence[ResponsePair], plans: dict[str, list[str | None]]
    ) -> tuple[list[TextRequest], list[tuple[ResponsePair, Order, int, str]]]:
        """The requests, and what each stands for: pair, order, number and text of the plan."""
        protocol, params = self._protocol, self.drawing.params(self.execution_tokens)
        requests: list[TextRequest] = []
        meant: list[tuple[ResponsePair, Order, int, str]] = []
        for pair in pairs:
            for order in orders(self.both_orders):
                repeats: dict[str, int] = {}
                for number, plan in enumerate(plans[pair.id]):
                    if plan is None:
                        continue
                    first = repeats.get(plan, 0) * EXECUTION_STRIDE
                    repeats[plan] = repeats.get(plan, 0) + 1
                    name, samples = f"{pair.id}/{order}/{number}", tuple(range(first, first + self.executions))
                    if self.execution_mode == "prompt":
                        prompt = protocol.execution_prompt(pair, order, plan)
                        requests.append(TextRequest(name, prompt, params, samples))
                    else:
                        prefill = protocol.execution_prefill(plan)
                        requests.append(TextRequest(name, protocol.judge_prompt(pair, order), params, samples, prefill))
                    meant.append((pair, order, number, plan))
        return requests, meant

    def _replies(
        self, requests: Sequence[TextRequest], workspace: Workspace
    ) -> dict[tuple[str, int], tuple[str, bool]]:
        """(text, cut off) by request and sample."""
        protocol = self._protocol
        if self.verdict == "constrained":
            decided, _ = ask_for_verdict(
                self.model.open(), requests, protocol.verdict_tokens, protocol.verdict_lead, protocol.verdict_stops,
                workspace, "executions",
            )  # fmt: skip
            return {key: (reply.text, reply.finish == "length") for key, reply in decided.items()}
        replies = self.model.ask(requests, workspace, "executions")
        return {key: (reply.text, reply.finish == "length") for key, reply in replies.generations.items()}

    def _chain(
        self, pair: ResponsePair, order: Order, plan_index: int, sample: int, plan: str, reply: str, truncated: bool
    ) -> Judgment:
        """One chain: read the verdict and write the text a judge should learn (plan, execution and verdict)."""
        protocol = self._protocol
        reading = protocol.read(reply, truncated)
        if truncated and self.execution_mode == "prefill":
            reading = Reading(None, "truncated")  # the reply itself is to be imitated, and would teach never to end
        if self.execution_mode == "prompt" and reading.verdict is not None:
            text = protocol.stitch(plan, protocol.split(reply)[1], reading.verdict)
        else:
            text = protocol.execution_prefill(plan) + reply
        verdict = name_response(reading.verdict, order)
        return Judgment(pair.id, order, sample, verdict, reading.invalid, text, plan=plan, plan_index=plan_index)


@dataclass(frozen=True, kw_only=True)
class Selected(Stage):
    """Training rows selected from chains (``rows.jsonl``).

    :param rules: how they are selected
    :param learn: ``chain``: whole chains; ``verdict``: their verdicts alone
    """

    split: str
    splits: Made[Any]
    chains: Made[Chains]
    rules: ChainRules
    learn: str = read("recipe.learn")
    prompt: EvalPlannerPrompt = read("prompt")
    controls: RowControls = row_controls("judgment_fault")

    def _select(self, workspace: Workspace) -> tuple[list[ResponsePair], EvalPlanner, Selection]:
        protocol = EvalPlanner(self.prompt)
        pairs = self.splits.rows(self.split, ResponsePair)
        found = self.controls.kept(self.chains.rows("chains", Judgment), workspace)
        selection = select(pairs, found if self.learn == "chain" else verdicts_alone(found, protocol), self.rules)
        return pairs, protocol, selection


@dataclass(frozen=True, kw_only=True)
class Demonstrations(Selected):
    """One correct chain an instruction (or order)."""

    label = "demonstrations/{split}"
    rules: ChainRules = ChainRules(
        seed=at("seed"),
        per_order=at("recipe.sft_per_order"),
        drop_conflicting=at("bias.drop_conflicting"),
        balance_labels=at("bias.balance_labels"),
        max_chars=at("bias.max_judgment_chars"),
    )

    def build(self, workspace: Workspace) -> None:
        """Select them."""
        pairs, protocol, found = self._select(workspace)
        write_training_rows(
            workspace, "demonstrations", f"chains of {self.split}", found.demonstrations, found.dropped, pairs,
            protocol, REMEDY,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Preferences(Selected):
    """Correct x incorrect chains under the same plan."""

    label = "preferences/{split}"
    rules: ChainRules = ChainRules(
        seed=at("seed"),
        pairs_per_instruction=at("recipe.pairs_per_instruction"),
        invalid_as_negative=at("recipe.invalid_as_negative"),
        drop_conflicting=at("bias.drop_conflicting"),
        max_chars=at("bias.max_judgment_chars"),
    )

    def build(self, workspace: Workspace) -> None:
        """Select them."""
        pairs, protocol, found = self._select(workspace)
        write_training_rows(
            workspace, "preferences", f"chains of {self.split}", found.pairs, found.dropped, pairs, protocol, REMEDY
        )


def verdicts_alone(chains: Sequence[Judgment], protocol: EvalPlanner) -> list[Judgment]:
    """The verdicts of chains without plan and execution, each different one of a pair and order once."""
    found: dict[tuple[str, Order, Verdict], Judgment] = {}
    for chain in chains:
        position = name_response(chain.verdict, chain.order)
        if chain.verdict is not None and position is not None:
            bare = replace(chain, text=protocol.bare_verdict(position), plan=None, plan_index=None)
            found.setdefault((chain.id, chain.order, chain.verdict), bare)
    return list(found.values())


REMEDY = (
    "A seed that never judges right needs recipe.warm_start.enabled=true, more plans or executions, or a higher "
    "sampler.temperature."
)
