"""EvalPlanner (arXiv 2501.18099): a judge that plans an evaluation, executes the plan, and decides.

M0 -> SFT(D1) -> DPO(D1) -> resample with that model -> DPO(D2). A chain is a plan z, an execution e and a verdict y;
it is correct when y equals the label the response pair was built with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from judgekit.data.worked import Worked
from judgekit.preferences.plan_execution import Rules, select
from judgekit.prompts.base import name_response
from judgekit.prompts.evalplanner import PLAN_START, EvalPlanner, EvalPlannerPrompt
from judgekit.recipes.judgments import write_training_rows
from judgekit.recipes.lab import Handle, Judge, Lab, Outcome, section
from judgekit.recipes.measuring import Measured, validation
from judgekit.recipes.stages import PROMPT_TOKENS, make_splits, orders
from judgekit.recipes.training import train_judge
from judgekit.recipes.warm_start import warm_judge
from judgekit.rows import Demonstration, Judgment, Order, ResponsePair, Verdict, read_rows, write_rows
from judgekit.sampling.text import TextRequest, TextSampler, ask_for_verdict
from judgekit.schema.recipes import EvalPlannerConfig
from judgekit.store import Artifact, Workspace

EXECUTION_STRIDE = 100_000
"""Sample indices set apart for the executions of each repetition of one plan, so that equal plans differ in them."""


def evalplanner(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe, protocol = lab.recipe(EvalPlannerConfig), EvalPlanner(lab.prompt(EvalPlannerPrompt))
    start = recipe.warm_start
    splits = make_splits(lab, start.examples if start.enabled else 0, start.categories)
    score = validation(lab, splits, protocol)
    validate = score if recipe.validate else None
    measured = Measured(lab, splits, protocol)

    judge = measured.add(Judge("seed", None))
    if start.enabled:

        def plan(pair: ResponsePair, worked: Worked) -> Demonstration:
            target = f"{PLAN_START}\n{worked.plan}\n{protocol.plan_stop}"
            return Demonstration(f"{pair.id}/plan", protocol.plan_prompt(pair.instruction), target)

        judge = measured.add(warm_judge(lab, splits, judge, protocol, start, score, plan))

    chains = sample_chains(lab, "d1", splits, judge, protocol, recipe.first_plans, recipe.first_execution)
    demonstrations, preferences = select_chains(lab, "d1", splits, chains, protocol)
    judge = measured.add(train_judge(lab, "sft", "sft", demonstrations, judge, recipe.sft, validate, [splits]))
    if lab.config.loss.name != "sft":
        judge = measured.add(train_judge(lab, "dpo1", "dpo", preferences, judge, recipe.dpo, validate, [splits]))
        if recipe.rounds > 1:
            chains = sample_chains(lab, "d2", splits, judge, protocol, recipe.second_plans, recipe.second_execution)
            _, preferences = select_chains(lab, "d2", splits, chains, protocol)
            measured.add(train_judge(lab, "dpo2", "dpo", preferences, judge, recipe.dpo, validate, [splits]))
    return measured.outcome()


def sample_chains(
    lab: Lab, split: str, splits: Handle, judge: Judge, protocol: EvalPlanner, plan_mode: str, execution_mode: str
) -> Handle:
    """|P| plans an instruction, |E| executions a plan and order; every chain is kept, right, wrong or invalid.

    :param plan_mode: ``prompt``: plans from the plan prompt, which sees the instruction only; ``chain``: plans
        stripped from the beginnings of whole chains
    :param execution_mode: ``prompt``: from the execution prompt; ``prefill``: the judge prompt continued after the plan
    """
    config, recipe, sampler = lab.config, lab.recipe(EvalPlannerConfig), lab.config.sampler
    settings = section(recipe, "plans", "executions")
    settings |= section(sampler, "temperature", "top_p", "plan_tokens", "execution_tokens", "verdict")
    settings |= {"prompt": asdict(config.prompt), "orders": orders(lab), "seed": config.seed}
    settings |= {"plan_mode": plan_mode, "execution_mode": execution_mode, "split": split}

    def build(workspace: Workspace) -> None:
        assert isinstance(splits, Artifact)
        pairs = read_rows(splits.file(f"{split}.jsonl"), ResponsePair)
        model = lab.ask(lab.weights(judge))
        plans = _plans(lab, model, pairs, protocol, plan_mode, workspace)
        chains = _executions(lab, model, pairs, plans, protocol, execution_mode, workspace)
        for chain in chains:
            if chain.invalid is not None:
                workspace.drop(f"chain without a verdict: {chain.invalid}")
        planned = sum(plan is not None for found in plans.values() for plan in found)
        workspace.count(instructions=len(pairs), plans=planned, chains=len(chains))
        workspace.count(valid=sum(chain.verdict is not None for chain in chains))
        write_rows(workspace.path / "chains.jsonl", chains)

    size = config.data.first_round if split == "d1" else config.data.second_round
    plan_count = size * recipe.plans
    chain_count = plan_count * recipe.executions * len(orders(lab))
    tokens = plan_count * sampler.plan_tokens + chain_count * sampler.execution_tokens
    prompts = (plan_count * (1 + len(orders(lab)))) * PROMPT_TOKENS
    return lab.stage(
        f"chains/{split}", 1, settings, [splits, lab.source(judge)], build,
        generations=plan_count + chain_count, tokens=tokens + prompts, note="at most",
    )  # fmt: skip


def _plans(
    lab: Lab, model: TextSampler, pairs: Sequence[ResponsePair], protocol: EvalPlanner, mode: str, workspace: Workspace
) -> dict[str, list[str | None]]:
    """Plans by pair id, None where a sample gave none; their numbers are sample indices."""
    params = lab.params(lab.config.sampler.plan_tokens, (protocol.plan_stop,))
    count = lab.recipe(EvalPlannerConfig).plans
    requests: list[TextRequest] = []
    for pair in pairs:
        if mode == "prompt":
            prompt = protocol.plan_prompt(pair.instruction)
            requests.append(TextRequest(pair.id, prompt, params, tuple(range(count)), protocol.plan_prefill))
            continue
        # Orders take turns, so that plans of one instruction do not all come from one order.
        for place, order in enumerate(orders(lab)):
            samples = tuple(range(place, count, len(orders(lab))))
            if samples:
                prompt = protocol.judge_prompt(pair, order)
                requests.append(TextRequest(f"{pair.id}/{order}", prompt, params, samples))
    replies = model.ask(requests, workspace, "plans")
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
            pair_id = request.id if mode == "prompt" else request.id.rpartition("/")[0]
            plans[pair_id][sample] = text
    return plans


def _executions(
    lab: Lab,
    model: TextSampler,
    pairs: Sequence[ResponsePair],
    plans: dict[str, list[str | None]],
    protocol: EvalPlanner,
    mode: str,
    workspace: Workspace,
) -> list[Judgment]:
    """|E| executions of every plan in every order."""
    params = lab.params(lab.config.sampler.execution_tokens)
    count = lab.recipe(EvalPlannerConfig).executions
    requests: list[TextRequest] = []
    meant: list[tuple[ResponsePair, Order, int, str]] = []
    for pair in pairs:
        for order in orders(lab):
            repeats: dict[str, int] = {}
            for number, plan in enumerate(plans[pair.id]):
                if plan is None:
                    continue
                first = repeats.get(plan, 0) * EXECUTION_STRIDE
                repeats[plan] = repeats.get(plan, 0) + 1
                name, samples = f"{pair.id}/{order}/{number}", tuple(range(first, first + count))
                if mode == "prompt":
                    requests.append(TextRequest(name, protocol.execution_prompt(pair, order, plan), params, samples))
                else:
                    prefill = protocol.execution_prefill(plan)
                    requests.append(TextRequest(name, protocol.judge_prompt(pair, order), params, samples, prefill))
                meant.append((pair, order, number, plan))
    if lab.config.sampler.verdict == "constrained":
        decided, _ = ask_for_verdict(
            model, requests, protocol.verdict_tokens, protocol.verdict_lead, protocol.verdict_stops,
            workspace, "executions",
        )  # fmt: skip
        read = {key: (reply.text, reply.finish == "length") for key, reply in decided.items()}
    else:
        replies = model.ask(requests, workspace, "executions")
        read = {key: (reply.text, reply.finish == "length") for key, reply in replies.generations.items()}
    chains = []
    for request, (pair, order, number, plan) in zip(requests, meant, strict=True):
        for place, sample in enumerate(request.samples):
            if (request.id, sample) in read:
                text, truncated = read[request.id, sample]
                index = number * count + place
                chains.append(_chain(protocol, pair, order, number, index, plan, text, truncated, mode))
    return chains


def _chain(
    protocol: EvalPlanner,
    pair: ResponsePair,
    order: Order,
    plan_index: int,
    sample: int,
    plan: str,
    reply: str,
    truncated: bool,
    mode: str,
) -> Judgment:
    """One chain: read the verdict and write the text a judge should learn (plan, execution and verdict)."""
    reading = protocol.read(reply, truncated)
    if mode == "prefill":
        text = protocol.execution_prefill(plan) + reply
    elif reading.verdict is not None:
        text = protocol.stitch(plan, protocol.split(reply)[1], reading.verdict)
    else:
        text = protocol.execution_prefill(plan) + reply
    verdict = name_response(reading.verdict, order)
    return Judgment(pair.id, order, sample, verdict, reading.invalid, text, plan=plan, plan_index=plan_index)


def select_chains(lab: Lab, split: str, splits: Handle, chains: Handle, protocol: EvalPlanner) -> tuple[Handle, Handle]:
    """Demonstrations (one correct chain an instruction) and preferences (correct x incorrect under the same plan)."""
    recipe, bias = lab.recipe(EvalPlannerConfig), lab.config.bias
    rules = Rules(
        seed=lab.config.seed,
        pairs_per_instruction=recipe.pairs_per_instruction,
        per_order=recipe.sft_per_order,
        invalid_as_negative=recipe.invalid_as_negative,
        drop_conflicting=bias.drop_conflicting,
        balance_labels=bias.balance_labels,
        max_chars=bias.max_judgment_chars,
    )

    def rows(kind: str) -> Callable[[Workspace], None]:
        def build(workspace: Workspace) -> None:
            assert isinstance(splits, Artifact) and isinstance(chains, Artifact)
            pairs = read_rows(splits.file(f"{split}.jsonl"), ResponsePair)
            found = read_rows(chains.file("chains.jsonl"), Judgment)
            selection = select(pairs, found if recipe.learn == "chain" else verdicts_alone(found, protocol), rules)
            selected = selection.demonstrations if kind == "demonstrations" else selection.pairs
            write_training_rows(
                workspace, kind, f"chains of {split}", selected, selection.dropped, pairs, protocol, REMEDY
            )

        return build

    config = asdict(rules) | {"prompt": asdict(lab.config.prompt)}
    config |= {} if recipe.learn == "chain" else {"learn": recipe.learn}
    found = [
        lab.stage(f"{kind}/{split}", 1, config, [splits, chains], rows(kind))
        for kind in (("demonstrations", "preferences") if split == "d1" else ("preferences",))
        if kind == "demonstrations" or lab.config.loss.name != "sft"
    ]
    return found[0], found[-1]


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
