"""Stages in which several candidate models answer the same instructions, and pairs of what they answered."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from judgekit.data.records import Record
from judgekit.data.tables import read_table
from judgekit.errors import StageError
from judgekit.models import find, obtain
from judgekit.prompts.base import fill
from judgekit.prompts.chat import PLAIN
from judgekit.prompts.noisy import answer_prompt
from judgekit.randomness import draw_bits, pick
from judgekit.recipes.lab import UNKNOWN, Handle, Judge, Lab, Start, section
from judgekit.recipes.stages import PROMPT_TOKENS
from judgekit.recipes.training import train_judge
from judgekit.rows import Demonstration, Message, Response, ResponsePair, read_rows, write_rows
from judgekit.sampling.backends import used_digest
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextRequest
from judgekit.schema.candidates import CandidateConfig, TuningConfig
from judgekit.store import Artifact, Workspace
from judgekit.weights import Weights

PLAIN_PROMPT = "### Instruction:\n{instruction}\n\n### Response:\n"
"""How a base model is asked; the sections are those that instruction-tuned LLaMA models know."""


def ask_candidate(config: CandidateConfig, instruction: str) -> tuple[Message, ...]:
    """The prompt a candidate answers."""
    if config.chat:
        return answer_prompt(instruction)
    return ({"role": PLAIN, "content": fill(PLAIN_PROMPT, instruction=instruction)},)


def candidate_pairs(
    lab: Lab,
    name: str,
    instructions: Handle,
    file: str,
    count: int,
    candidates: Mapping[str, CandidateConfig],
    tuning: TuningConfig | None = None,
    pairs_per_instruction: int | None = None,
) -> Handle:
    """Every candidate answers; a stage whose ``pairs.jsonl`` holds pairs of different candidates' responses.

    Which of two responses is called A is drawn by the pair's id, and the pairs have no label.

    :param instructions: a stage with ``ResponsePair`` rows, whose instructions are used, in ``file``
    :param count: instructions at most, for planning
    :param tuning: tunes the candidates first, on the ``warm`` split of ``instructions`` where it names no file
    :param pairs_per_instruction: pairs of one instruction, drawn at random; None: all
    """
    answers = [
        _answers(lab, candidate, config, instructions, file, count, tuning) for candidate, config in candidates.items()
    ]
    names, seed, limit = list(candidates), lab.config.seed, lab.config.bias.max_response_chars

    def build(workspace: Workspace) -> None:
        assert isinstance(instructions, Artifact)
        known = read_rows(instructions.file(file), ResponsePair)
        written: dict[str, dict[str, str]] = {}
        for candidate, stage in zip(names, answers, strict=True):
            assert isinstance(stage, Artifact)
            for answer in read_rows(stage.file("answers.jsonl"), Response):
                written.setdefault(answer.id, {})[candidate] = answer.response
        made: list[ResponsePair] = []
        for row in known:
            found = pair_up(row, written.get(row.id, {}), seed, limit, workspace.drop)
            if pairs_per_instruction is not None and len(found) > pairs_per_instruction:
                found = sorted(found, key=lambda pair: draw_bits(seed, pair.id, "pair"))[:pairs_per_instruction]
            made += found
        if not made:
            raise StageError("The candidates' responses gave no pair. Give more candidates or higher temperatures.")
        write_rows(workspace.path / "pairs.jsonl", made)
        workspace.count(instructions=len(known), pairs=len(made))

    settings = {"names": names, "seed": seed, "per_instruction": pairs_per_instruction, "max_chars": limit}
    return lab.stage(name, 1, settings | {"file": file}, [instructions, *answers], build)


def pair_up(
    asked: ResponsePair, responses: Mapping[str, str], seed: int, max_chars: int | None, drop: Callable[[str], None]
) -> list[ResponsePair]:
    """All pairs of different responses to one instruction, in the order of the candidates.

    :param asked: whose instruction it is
    :param responses: by candidate
    :param drop: called with the reason for every pair left out
    """
    made = []
    for one, other in combinations(responses, 2):
        name = f"{asked.group or asked.id}#{one}-{other}"
        first, second = (one, other) if pick((True, False), seed, name, "sides") else (other, one)
        if responses[one].strip() == responses[other].strip():
            drop("pair of equal responses")
        elif max_chars is not None and max(len(responses[one]), len(responses[other])) > max_chars:
            drop("response over bias.max_response_chars")
        else:
            made.append(
                ResponsePair(
                    name, asked.instruction, responses[first], responses[second], None, subset=asked.subset,
                    group=asked.group or asked.id, model_a=first, model_b=second, input=asked.input,
                )
            )  # fmt: skip
    return made


def _answers(
    lab: Lab, name: str, config: CandidateConfig, instructions: Handle, file: str, count: int,
    tuning: TuningConfig | None,
) -> Handle:  # fmt: skip
    """``answers.jsonl``: one response of a candidate to every instruction it gave one to."""
    tuned = _tuned(lab, name, config, instructions, tuning) if tuning and tuning.enabled and config.tuned else None
    tokens = lab.config.data.response_tokens
    params = SamplingParams(config.temperature, config.top_p, tokens, seed=lab.config.seed)
    if config.temperature == 0:
        params = SamplingParams(0.0, 1.0, tokens)

    def build(workspace: Workspace) -> None:
        assert isinstance(instructions, Artifact)
        rows = {row.id: row for row in read_rows(instructions.file(file), ResponsePair)}
        requests = [TextRequest(key, ask_candidate(config, row.instruction), params) for key, row in rows.items()]
        weights = _weights(lab, config) if tuned is None else _tuned_weights(lab, config, tuned)
        replies = lab.ask(weights, config.model).ask(requests, workspace, f"answers of {name}").generations
        found = []
        for (key, _), reply in replies.items():
            if not reply.text.strip():
                workspace.drop("empty response")
                continue
            workspace.count(cut_off=int(reply.finish == "length"))
            found.append(Response(key, rows[key].instruction, reply.text.strip()))
        workspace.count(answers=len(found))
        write_rows(workspace.path / "answers.jsonl", found)

    settings = section(config, "temperature", "top_p", "chat") | {"tokens": tokens, "seed": lab.config.seed}
    inputs = [instructions, tuned if tuned is not None else _source(lab, config)]
    return lab.stage(
        f"answers/{name}", 1, settings | {"file": file}, inputs, build,
        generations=count, tokens=count * (PROMPT_TOKENS // 3 + tokens), note="at most",
    )  # fmt: skip


def _weights(lab: Lab, config: CandidateConfig) -> Weights:
    base = lab.base() if config.model is None else obtain(config.model)
    return Weights(base, Path(config.adapter) if config.adapter is not None else None)


def _tuned_weights(lab: Lab, config: CandidateConfig, tuned: Handle) -> Weights:
    """What the tuning of a candidate wrote: an adapter on its base, or a whole model."""
    assert isinstance(tuned, Artifact)
    folder = tuned.path / "judge"
    whole = not (folder / "adapter_config.json").exists()
    return Weights(folder) if whole else Weights(_weights(lab, config).base, folder)


def _source(lab: Lab, config: CandidateConfig) -> str:
    """What stands for a candidate's weights among a stage's inputs."""
    model = config.model or lab.config.model
    if lab.planning and find(model) is None:
        return UNKNOWN
    return used_digest(_weights(lab, config), model, lab.config.sampler)


def _tuned(lab: Lab, name: str, config: CandidateConfig, instructions: Handle, tuning: TuningConfig) -> Handle:
    """A candidate after SFT on the demonstrations that all candidates share."""
    settings = {"examples": tuning.examples, "chat": config.chat}

    def build(workspace: Workspace) -> None:
        given: Sequence[tuple[str, str, str]]
        if tuning.path is not None:
            given = read_demonstrations(Path(tuning.path))[: tuning.examples]
        else:
            assert isinstance(instructions, Artifact)
            given = _better_responses(instructions)[: tuning.examples]
        rows = [Demonstration(key, ask_candidate(config, asked), answer) for key, asked, answer in given]
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(demonstrations=len(rows))

    inputs: list[Handle | str] = [*lab.file_inputs(tuning.path)] if tuning.path is not None else [instructions]
    rows = lab.stage(f"tuning/{name}", 1, settings, inputs, build)
    start = Judge(name, None, Start(functools.partial(_weights, lab, config), _source(lab, config)))
    trained = train_judge(lab, f"candidate-{name}", "sft", rows, start, tuning.optim, None)
    assert trained.stage is not None
    return trained.stage


def _better_responses(splits: Artifact) -> list[tuple[str, str, str]]:
    pairs = read_rows(splits.file("warm.jsonl"), ResponsePair)
    return [
        (pair.id, pair.instruction, pair.response_a if pair.label == "A" else pair.response_b)
        for pair in pairs
        if pair.label in ("A", "B")
    ]


def read_demonstrations(path: Path) -> list[tuple[str, str, str]]:
    """(name, instruction with its input, output) of a file of demonstrations, as Alpaca's.

    :raises DataError: naming file, line and field
    """
    found = []
    for line, values in read_table(path, ("instruction", "input", "output")):
        record = Record(path, line, values)
        given = (record.maybe("input") or "").strip()
        task = record.asked("instruction")
        found.append((f"line-{line}", f"{task}\n\n{given}" if given else task, record.asked("output")))
    return found
