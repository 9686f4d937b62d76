"""Stages that ask a teacher, which recipes distil into a judge: a server, another model, or the run's own seed.

A reply that was refused, timed out, was cut off or came in another format is counted by its reason and never used; a
stage with more than ``teacher.max_failed`` of them ends the run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from judgekit.errors import StageError
from judgekit.judges import Decoding, decoding_of, find_judge, judge_weights, prompt_of, thinking_as
from judgekit.prompts.base import PromptConfig, Verdicts, name_response, pair_protocol
from judgekit.rows import Judgment, Message, Order, ResponsePair, write_rows
from judgekit.samplers.base import SamplerConfig
from judgekit.samplers.openai import OpenAIConfig
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextRequest, ask_for_verdict
from judgekit.schema.fields import setting
from judgekit.stages.data import PROMPT_TOKENS
from judgekit.stages.lab import Lab
from judgekit.stages.models import Judge, Model
from judgekit.stages.stage import Planned, Stage, at, read, unkeyed
from judgekit.store import Workspace

CHUNK = 1024
"""Questions asked together; between chunks a teacher that fails too often is noticed."""
CUT_OFF = "teacher: cut off"
REFUSED = "teacher: refused"
FORMAT = "teacher: another format"

_REFUSAL = re.compile(
    r"\W*(?:i['’]?m sorry|i am sorry|sorry,|i apologi[sz]e|i (?:can(?:no|['’])t|am unable to|am not able to|won['’]t)|"
    r"as an ai\b|抱歉|对不起|很抱歉)",
    re.IGNORECASE,
)
"""How a reply begins that declines to answer; looked at only where a reply is in no known format, or has none."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question to the teacher, one reply wanted.

    :param id: unique in its stage
    :param prefill: text that already starts the reply
    """

    id: str
    prompt: tuple[Message, ...]
    prefill: str = ""


Read = Callable[[str, str, bool], str | None]
"""(question id, reply, cut off at its token limit) -> why the reply is of no use, None when it is."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A reply of no use, kept for whoever wants to know what the teacher said.

    :param reason: what it is counted under
    """

    id: str
    reason: str
    text: str


@dataclass(frozen=True)
class Teacher:
    """The teacher of a run, as a stage asks it.

    :param prompt: the protocol it is asked with, where a recipe does not choose one
    :param max_failed: share of failed replies that ends the run
    :param tokens: longest reply
    :param constrained: verdicts are chosen among those the protocol allows
    """

    model: Model
    tokens: int
    constrained: bool
    prompt: PromptConfig = unkeyed("a stage that asks with it has it as a field of its own")
    temperature: float = read("teacher.temperature")
    top_p: float = read("teacher.top_p")
    seed: int = read("seed")
    beams: int = setting(1, "", off=1)
    repetition_penalty: float = setting(1.0, "", off=1.0)
    max_failed: float = unkeyed("it ends a stage or does not, and changes none", at("teacher.max_failed"))

    def params(self, tokens: int | None = None) -> SamplingParams:
        """How its replies are decoded; greedy decoding is the same whatever the seed.

        :param tokens: longest reply; None: as configured
        """
        decoding = Decoding(tokens or self.tokens, "free", self.beams, self.repetition_penalty)
        return decoding.greedy if self.temperature == 0 else decoding.drawn(self.temperature, self.top_p, self.seed)

    def ask(
        self,
        questions: Sequence[Question],
        read: Read,
        workspace: Workspace,
        title: str,
        *,
        verdicts: Verdicts | None = None,
        tokens: int | None = None,
    ) -> dict[str, str]:
        """Usable replies by question id, in the order of the questions. Others are counted as dropped, by reason.

        ``failures.jsonl`` gets them with what the teacher said.

        :param read: says why a reply cannot be used
        :param verdicts: protocol whose verdicts are chosen where decoding is constrained; None: always free
        :param tokens: longest reply; None: as configured
        :raises StageError: more than ``teacher.max_failed`` of the replies failed
        """
        kept: dict[str, str] = {}
        failures: list[Failure] = []
        params = self.params(tokens)
        for start in range(0, len(questions), CHUNK):
            chunk = questions[start : start + CHUNK]
            requests = [TextRequest(one.id, one.prompt, params, prefill=one.prefill) for one in chunk]
            replies, refused = self._replies(requests, verdicts, workspace, title)
            failures += [Failure(name, f"teacher: {reason}", "") for name, reason in refused.items()]
            for question in chunk:
                if question.id not in replies:
                    continue
                text, truncated = replies[question.id]
                reason = _fault(read(question.id, text, truncated), text, truncated)
                if reason is None:
                    kept[question.id] = text
                else:
                    workspace.drop(reason)
                    failures.append(Failure(question.id, reason, text))
            self._check(failures, len(questions))
        write_rows(workspace.path / "failures.jsonl", failures)
        workspace.count(asked=len(questions), usable=len(kept))
        return kept

    def _replies(
        self, requests: Sequence[TextRequest], verdicts: Verdicts | None, workspace: Workspace, title: str
    ) -> tuple[dict[str, tuple[str, bool]], Mapping[str, str]]:
        """(text, cut off) by id, and refused questions with their reasons."""
        model = self.model.open()
        if self.constrained and verdicts is not None and verdicts.verdict_tokens:
            decided, refused = ask_for_verdict(
                model, requests, verdicts.verdict_tokens, verdicts.verdict_lead, verdicts.verdict_stops, workspace,
                title,
            )  # fmt: skip
            return {name: (one.text, one.finish == "length") for (name, _), one in decided.items()}, refused
        replies = model.ask(requests, workspace, title)
        found = {name: (one.text, one.finish == "length") for (name, _), one in replies.generations.items()}
        return found, replies.refused

    def _check(self, failures: Sequence[Failure], asked: int) -> None:
        if len(failures) <= self.max_failed * asked:
            return
        counts = Counter(failure.reason.partition(": ")[2].partition(":")[0] for failure in failures)
        told = "; ".join(f"{count} x {reason}" for reason, count in counts.most_common())
        said = next((failure.text for failure in failures if failure.text.strip()), None)
        quoted = f" For example it said {said.strip()[:QUOTED]!r}." if said is not None else ""
        raise StageError(
            f"Of {asked} questions the teacher failed on {len(failures)} so far, more than teacher.max_failed="
            f"{self.max_failed:g} allows ({told}).{quoted} Finished replies are kept: mend the teacher or raise "
            f"teacher.max_failed, and run the same command again."
        )


QUOTED = 200
"""Characters of a teacher's own words in a message."""


def refuses(text: str) -> bool:
    """Whether a reply declines to answer. For readers of replies that have no format to fall out of."""
    return _REFUSAL.match(text) is not None


def answer_fault(_: str, text: str, truncated: bool) -> str | None:
    """Why a reply cannot be used as a reference answer: there is none, it is cut off, or it declines to give one."""
    if truncated:
        return "cut off"
    return "missing" if not text.strip() else "refused" if refuses(text) else None


def _fault(reason: str | None, text: str, truncated: bool) -> str | None:
    """What a reply of no use is counted under. One that hit its limit may still be of use: the reader decides."""
    if reason is None:
        return None
    if truncated:
        return CUT_OFF
    return REFUSED if refuses(text) else f"{FORMAT}: {reason.partition(': ')[0]}"


def find_teacher(lab: Lab, stand_in: Judge | None = None) -> Teacher:
    """The configured teacher; nothing is fetched or loaded but what its digest needs.

    :param stand_in: the judge that teaches where no other teacher is configured; None: the seed
    :raises ModelError: what is configured is no model
    """
    config, asked = lab.config.teacher, lab.config.sampler
    if not config.is_seed:
        config = lab.use(config)
    sampler: SamplerConfig = config.sampler or lab.sampler
    found = None if config.is_seed else find_judge(config, sampler)
    if found is None:
        model = lab.model(stand_in or lab.seed)
    elif isinstance(sampler, OpenAIConfig):
        model = lab.server(sampler)
    else:
        assert found.model is not None
        origin = lab.origin(found.model, lambda: judge_weights(found))
        model = lab.model(origin, found.model, thinking_as(found, sampler))
    decoding = decoding_of(config, found, config.sampler or asked)
    return Teacher(
        model=model,
        tokens=decoding.tokens,
        constrained=decoding.constrained,
        beams=decoding.beams,
        repetition_penalty=decoding.repetition_penalty,
        prompt=(found and prompt_of(found, lab.use(config.prompt))) or lab.use(config.prompt) or lab.protocol_config,
    )


@dataclass(frozen=True, kw_only=True)
class TaughtJudgments(Stage):
    """A teacher's judgments of pairs: ``judgments.jsonl`` holds valid ones only, in order of the pairs.

    :param prompt: the protocol it is asked with
    """

    version = 2
    teacher: Teacher
    prompt: PromptConfig
    orders: tuple[Order, ...]
    expected: int = unkeyed("for the plan", 0)

    def pairs(self) -> Sequence[ResponsePair]:
        """What is judged."""
        raise NotImplementedError

    def unusable(self, text: str, truncated: bool) -> str | None:
        """Why a reply with a verdict cannot be used, None when it can."""
        return None

    def build(self, workspace: Workspace) -> None:
        """Ask the teacher."""
        protocol = pair_protocol(self.prompt)

        def read_reply(_: str, text: str, truncated: bool) -> str | None:
            invalid = protocol.read(text, truncated).invalid
            return invalid if invalid is not None else self.unusable(text, truncated)

        asked = [(pair, order) for pair in self.pairs() for order in self.orders]
        questions = [Question(f"{pair.id}/{order}", protocol.judge_prompt(pair, order)) for pair, order in asked]
        replies = self.teacher.ask(questions, read_reply, workspace, self.name, verdicts=protocol)
        rows = [
            Judgment(
                pair.id, order, 0, name_response(protocol.read(replies[key], False).verdict, order), None, replies[key]
            )
            for pair, order in asked
            if (key := f"{pair.id}/{order}") in replies
        ]
        write_rows(workspace.path / "judgments.jsonl", rows)

    @property
    def cost(self) -> Planned:
        """Every pair in every order."""
        return teacher_cost(self.teacher, self.expected * len(self.orders))


def teacher_cost(teacher: Teacher, questions: int, tokens: int | None = None) -> Planned:
    """What so many questions cost at most.

    :param tokens: longest reply; None: as configured
    """
    return Planned(questions, questions * (PROMPT_TOKENS + (tokens or teacher.tokens)), "at most" if questions else "")
