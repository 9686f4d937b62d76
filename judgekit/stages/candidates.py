"""Stages in which several candidate models answer the same instructions, and pairs of what they answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from judgekit.data.records import Record
from judgekit.data.tables import read_table
from judgekit.errors import StageError
from judgekit.models import obtain
from judgekit.prompts.base import fill
from judgekit.prompts.chat import PLAIN
from judgekit.prompts.noisy import answer_prompt
from judgekit.randomness import draw_bits, pick
from judgekit.rows import Demonstration, Message, Response, ResponsePair, write_rows
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextRequest
from judgekit.schema.candidates import CandidateConfig, TuningConfig
from judgekit.stages.controls import RowControls, row_controls
from judgekit.stages.data import PROMPT_TOKENS, answers_alone, one_each
from judgekit.stages.lab import Lab
from judgekit.stages.models import Judge, Model
from judgekit.stages.stage import Digest, Made, Planned, Stage, file_inputs, read, unkeyed
from judgekit.stages.training import train_judge
from judgekit.store import Workspace
from judgekit.weights import Weights

PLAIN_PROMPT = "### Instruction:\n{instruction}\n\n### Response:\n"
"""How a base model is asked; the sections are those that instruction-tuned LLaMA models know."""


def ask_candidate(chat: bool, instruction: str) -> tuple[Message, ...]:
    """The prompt a candidate answers, in a chat or in plain text."""
    if chat:
        return answer_prompt(instruction)
    return ({"role": PLAIN, "content": fill(PLAIN_PROMPT, instruction=instruction)},)


@dataclass(frozen=True, kw_only=True)
class CandidatePairs(Stage):
    """Pairs of different candidates' responses (``pairs.jsonl``), without labels.

    Which of two responses is called A is drawn by the pair's id.

    :param instructions: a stage with ``ResponsePair`` rows, whose instructions are used, in ``SPLIT.jsonl``
    :param answers: of the candidates, by name
    :param per_instruction: pairs of one instruction, drawn at random; None: all
    """

    label = "candidate_pairs/{split}"
    split: str
    instructions: Made[Any]
    answers: dict[str, Made[CandidateAnswers]]
    per_instruction: int | None
    max_chars: int | None = read("bias.max_response_chars")
    strip_thoughts: bool = read("bias.strip_thoughts", off=False)
    controls: RowControls = row_controls("pair_fault")
    seed: int = read("seed")

    def build(self, workspace: Workspace) -> None:
        """Pair them.

        :raises StageError: there is no pair
        """
        known = one_each(self.instructions.rows(self.split, ResponsePair))
        written: dict[str, dict[str, str]] = {}
        for candidate, answers in self.answers.items():
            for answer in answers.rows("answers", Response):
                written.setdefault(answer.id, {})[candidate] = answer.response
        made: list[ResponsePair] = []
        for row in known:
            found = pair_up(row, written.get(row.id, {}), self.seed, self.max_chars, workspace.drop)
            if self.per_instruction is not None and len(found) > self.per_instruction:
                found = sorted(found, key=lambda pair: draw_bits(self.seed, pair.id, "pair"))[: self.per_instruction]
            found = answers_alone(found, workspace) if self.strip_thoughts else found
            made += self.controls.kept(found, workspace)
        if not made:
            raise StageError("The candidates' responses gave no pair. Give more candidates or higher temperatures.")
        write_rows(workspace.path / "pairs.jsonl", made)
        workspace.count(instructions=len(known), pairs=len(made))


@dataclass(frozen=True, kw_only=True)
class CandidateAnswers(Stage):
    """One response of a candidate to every instruction it gave one to (``answers.jsonl``)."""

    label = "answers/{candidate}/{split}"
    version = 2
    candidate: str
    split: str
    instructions: Made[Any]
    model: Model
    temperature: float
    top_p: float
    chat: bool
    tokens: int = read("data.response_tokens")
    seed: int = read("seed")
    expected: int = unkeyed("for the plan", 0)

    def build(self, workspace: Workspace) -> None:
        """Ask the candidate."""
        params = SamplingParams(self.temperature, self.top_p, self.tokens, seed=self.seed)
        if self.temperature == 0:
            params = SamplingParams(0.0, 1.0, self.tokens)
        rows = {row.id: row for row in one_each(self.instructions.rows(self.split, ResponsePair))}
        requests = [TextRequest(key, ask_candidate(self.chat, row.instruction), params) for key, row in rows.items()]
        replies = self.model.ask(requests, workspace, f"answers of {self.candidate}").generations
        found = []
        for (key, _), reply in replies.items():
            if not reply.text.strip():
                workspace.drop("empty response")
                continue
            if reply.finish == "length":
                workspace.drop("response cut at data.response_tokens")
                continue
            found.append(Response(key, rows[key].instruction, reply.text.strip()))
        workspace.count(answers=len(found))
        write_rows(workspace.path / "answers.jsonl", found)

    @property
    def cost(self) -> Planned:
        """One response an instruction."""
        return Planned(self.expected, self.expected * (PROMPT_TOKENS // 3 + self.tokens), "at most")


def candidate_pairs(
    lab: Lab,
    instructions: Made[Any],
    split: str,
    expected: int,
    candidates: Mapping[str, CandidateConfig],
    tuning: TuningConfig | None = None,
    per_instruction: int | None = None,
) -> Made[CandidatePairs]:
    """Every candidate answers, and their responses are paired.

    :param instructions: a stage with ``ResponsePair`` rows, whose instructions are used, in ``SPLIT.jsonl``
    :param expected: instructions at most, for planning
    :param tuning: tunes the candidates first, on the ``warm`` split of ``instructions`` where it names no file
    :param per_instruction: pairs of one instruction, drawn at random; None: all
    """
    answers = {}
    for name, candidate in candidates.items():
        judge = _candidate(lab, name, candidate)
        base = judge.origin.fetch
        if tuning is not None and tuning.enabled and candidate.tuned:
            judge = _tuned(lab, name, candidate, judge, instructions, tuning, base)
        answers[name] = lab.make(
            CandidateAnswers(
                candidate=name, split=split, instructions=instructions, model=lab.model(judge, candidate.model),
                temperature=candidate.temperature, top_p=candidate.top_p, chat=candidate.chat, expected=expected,
            )
        )  # fmt: skip
    return lab.make(
        CandidatePairs(split=split, instructions=instructions, answers=answers, per_instruction=per_instruction)
    )


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


def _candidate(lab: Lab, name: str, config: CandidateConfig) -> Judge:
    """A candidate as it is, or with its adapter."""
    model = lab.use(config.model)
    adapter = Path(config.adapter) if config.adapter is not None else None

    def fetch() -> Weights:
        return Weights(lab.base() if model is None else obtain(model), adapter)

    return Judge(name, lab.origin(model, fetch))


@dataclass(frozen=True, kw_only=True)
class TuningRows(Stage):
    """The demonstrations that all candidates share, on a candidate's own prompts (``rows.jsonl``).

    :param source: a file of demonstrations, or the splits whose warm pairs' better responses they are
    """

    label = "tuning/{candidate}"
    candidate: str
    source: Made[Any] | Digest
    chat: bool
    examples: int = read("recipe.tuning.examples")
    path: str | None = unkeyed("the file's digest is its source", None)

    def build(self, workspace: Workspace) -> None:
        """Write them."""
        if isinstance(self.source, Made):
            given = _better_responses(self.source.rows("warm", ResponsePair))
        else:
            given = read_demonstrations(Path(str(self.path)))
        rows = [
            Demonstration(key, ask_candidate(self.chat, asked), answer) for key, asked, answer in given[: self.examples]
        ]
        write_rows(workspace.path / "rows.jsonl", rows)
        workspace.count(demonstrations=len(rows))


def _tuned(
    lab: Lab, name: str, config: CandidateConfig, start: Judge, splits: Made[Any], tuning: TuningConfig,
    base: Callable[[], Weights],
) -> Judge:  # fmt: skip
    """A candidate after SFT on the demonstrations that all candidates share."""
    path = tuning.path
    source = splits if path is None else file_inputs(path)[0]
    rows = lab.make(TuningRows(candidate=name, source=source, chat=config.chat, path=path))
    return train_judge(lab, f"candidate-{name}", "sft", rows, start, tuning.optim, base=base)


def _better_responses(pairs: Sequence[ResponsePair]) -> list[tuple[str, str, str]]:
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
