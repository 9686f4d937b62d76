"""Stages that sample judgments of a training split and turn selected ones into training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from judgekit.errors import StageError
from judgekit.evaluation.judging import judge_pairs
from judgekit.preferences.judgment_balance import JudgmentPair
from judgekit.prompts.base import PairProtocol
from judgekit.recipes.lab import Handle, Judge, Lab, section
from judgekit.recipes.stages import PROMPT_TOKENS, orders
from judgekit.rows import Demonstration, Judgment, Preference, ResponsePair, read_rows, write_rows
from judgekit.store import Artifact, Workspace


def sample_judgments(
    lab: Lab,
    name: str,
    splits: Handle,
    judge: Judge,
    protocol: PairProtocol,
    count: int,
    *,
    temperature: float | None = None,
    first: int = 0,
) -> Handle:
    """``count`` judgments of every D1 pair and order, right, wrong and invalid ones alike (``judgments.jsonl``).

    :param name: of the stage
    :param temperature: None: as configured
    :param first: number of the first sample
    """
    sampler = lab.config.sampler
    params = lab.params(sampler.judge_tokens)
    if temperature is not None:
        params = replace(params, temperature=temperature)
    settings = section(sampler, "top_p", "judge_tokens", "verdict") | {"temperature": params.temperature}
    settings |= {"prompt": asdict(lab.config.prompt), "orders": orders(lab), "seed": lab.config.seed}
    settings |= {"count": count, "first": first}

    def build(workspace: Workspace) -> None:
        assert isinstance(splits, Artifact)
        pairs = read_rows(splits.file("d1.jsonl"), ResponsePair)
        verdicts = judge_pairs(
            lab.ask(lab.weights(judge)), protocol, pairs, orders(lab), params, samples=range(first, first + count),
            constrained=sampler.verdict == "constrained", workspace=workspace, title=name,
        )  # fmt: skip
        for row in verdicts:
            if row.verdict is None:
                workspace.drop(f"judgment without a verdict: {row.reason}")
        labels = {pair.id: pair.label for pair in pairs}
        workspace.count(pairs=len(pairs), judgments=len(verdicts))
        workspace.count(valid=sum(row.verdict is not None for row in verdicts))
        workspace.count(correct=sum(row.verdict is not None and row.verdict == labels[row.id] for row in verdicts))
        rows = [Judgment(v.id, v.order, v.sample, v.verdict, v.invalid, v.text, v.p_a) for v in verdicts]
        write_rows(workspace.path / "judgments.jsonl", rows)

    total = lab.config.data.first_round * len(orders(lab)) * count
    return lab.stage(
        name, 1, settings, [splits, lab.source(judge)], build,
        generations=total, tokens=total * (PROMPT_TOKENS + sampler.judge_tokens), note="at most",
    )  # fmt: skip


def write_training_rows(
    workspace: Workspace,
    kind: str,
    source: str,
    selected: Sequence[Judgment] | Sequence[JudgmentPair],
    dropped: Mapping[str, int],
    pairs: Sequence[ResponsePair],
    protocol: PairProtocol,
    remedy: str,
) -> None:
    """Write ``rows.jsonl`` of what was selected, on the plain judge prompt, and count what was dropped.

    :param kind: ``demonstrations`` or ``preferences``
    :param source: what was selected from, for the message
    :param remedy: what helps when nothing could be selected
    :raises StageError: when that is so
    """
    for reason, count in dropped.items():
        workspace.drop(reason, count)
    if not selected:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in dropped.items()) or "there are none"
        raise StageError(f"No {kind} could be selected from the {source} ({reasons}). {remedy}")
    by_id = {pair.id: pair for pair in pairs}
    made = [
        _preference(row, by_id, protocol) if isinstance(row, JudgmentPair) else _demonstration(row, by_id, protocol)
        for row in selected
    ]
    write_rows(workspace.path / "rows.jsonl", made)
    workspace.count(**{kind: len(made)})


def _demonstration(row: Judgment, by_id: Mapping[str, ResponsePair], protocol: PairProtocol) -> Demonstration:
    prompt = protocol.judge_prompt(by_id[row.id], row.order)
    return Demonstration(f"{row.id}/{row.order}/{row.sample}", prompt, row.text)


def _preference(pair: JudgmentPair, by_id: Mapping[str, ResponsePair], protocol: PairProtocol) -> Preference:
    chosen, rejected = pair.chosen, pair.rejected
    prompt = protocol.judge_prompt(by_id[chosen.id], chosen.order)
    return Preference(
        f"{chosen.id}/{chosen.order}/{chosen.sample}-{rejected.sample}", prompt, chosen.text, rejected.text
    )
