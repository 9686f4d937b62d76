"""Stages that ask a teacher, which recipes distil into a judge: a server, another model, or the run's own seed.

A reply that was refused, timed out, was cut off or came in another format is counted by its reason and never used; a
stage with more than ``teacher.max_failed`` of them ends the run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from judgekit.errors import StageError
from judgekit.evaluation.scores import ScoreRow
from judgekit.judges import find_judge, judge_weights
from judgekit.models import find
from judgekit.prompts.base import PairProtocol, PointProtocol, PromptConfig, Verdicts, name_response
from judgekit.randomness import digest
from judgekit.recipes.lab import UNKNOWN, Handle, Judge, Lab, section
from judgekit.recipes.stages import PROMPT_TOKENS
from judgekit.rows import Judgment, Message, Order, Response, ResponsePair, write_rows
from judgekit.samplers.base import SamplerConfig
from judgekit.samplers.openai import OpenAIConfig
from judgekit.sampling.backends import used_digest
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.text import TextRequest, TextSampler, ask_for_verdict
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


class Teacher:
    """The teacher of a run.

    :param stand_in: the judge that teaches where no other teacher is configured; None: the seed
    """

    def __init__(self, lab: Lab, stand_in: Judge | None = None) -> None:
        """Find what is configured; nothing is fetched or loaded.

        :raises ModelError: it is no model
        """
        self._lab, self.config = lab, lab.config.teacher
        self._stand_in = stand_in or Judge("seed", None)
        self._sampler: SamplerConfig = self.config.sampler or lab.config.sampler
        self._found = None if self.config.is_seed else find_judge(self.config, self._sampler)

    @property
    def prompt(self) -> PromptConfig:
        """The protocol it is asked with, where a recipe does not choose one: its own, otherwise the run's."""
        return self.config.prompt or (self._found and self._found.prompt) or self._lab.config.prompt

    @property
    def tokens(self) -> int:
        """Longest reply, tokens."""
        return self.config.tokens or (self._found and self._found.tokens) or self._sampler.judge_tokens

    @property
    def constrained(self) -> bool:
        """Whether verdicts are chosen among those the protocol allows."""
        found = self._found.verdict if self._found else None
        return (self.config.verdict or found or self._sampler.verdict) == "constrained"

    @property
    def source(self) -> Handle | str:
        """What stands for it among a stage's inputs: weights, or a server's address and model as configured."""
        if self._found is None:
            return self._lab.source(self._stand_in)
        if isinstance(self._sampler, OpenAIConfig):
            return digest(["server", self._sampler.base_url, self._sampler.served_model], 32)
        assert self._found.model is not None
        if self._lab.planning and self._found.model.path is None and find(self._found.model) is None:
            return UNKNOWN
        return used_digest(judge_weights(self._found), self._found.model, self._sampler)

    @property
    def settings(self) -> dict[str, Any]:
        """How it is asked, for a stage's configuration."""
        own = section(self.config, "temperature", "top_p")
        return own | {"tokens": self.tokens, "constrained": self.constrained, "seed": self._lab.config.seed}

    def params(self, tokens: int | None = None) -> SamplingParams:
        """How its replies are decoded; greedy decoding is the same whatever the seed.

        :param tokens: longest reply; None: as configured
        """
        if self.config.temperature == 0:
            return SamplingParams(0.0, 1.0, tokens or self.tokens)
        config, seed = self.config, self._lab.config.seed
        return SamplingParams(config.temperature, config.top_p, tokens or self.tokens, seed=seed)

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
        model = self._open()
        if self.constrained and verdicts is not None and verdicts.verdict_tokens:
            decided, refused = ask_for_verdict(
                model, requests, verdicts.verdict_tokens, verdicts.verdict_lead, verdicts.verdict_stops, workspace,
                title,
            )  # fmt: skip
            return {name: (one.text, one.finish == "length") for (name, _), one in decided.items()}, refused
        replies = model.ask(requests, workspace, title)
        found = {name: (one.text, one.finish == "length") for (name, _), one in replies.generations.items()}
        return found, replies.refused

    def _open(self) -> TextSampler:
        lab = self._lab
        if self._found is None:
            return lab.ask(lab.weights(self._stand_in))
        if isinstance(self._sampler, OpenAIConfig):
            return lab.ask_server(self._sampler)
        return lab.ask(judge_weights(self._found), self._found.model, self._sampler)

    def _check(self, failures: Sequence[Failure], asked: int) -> None:
        if len(failures) <= self.config.max_failed * asked:
            return
        counts = Counter(failure.reason.partition(": ")[2].partition(":")[0] for failure in failures)
        told = "; ".join(f"{count} x {reason}" for reason, count in counts.most_common())
        said = next((failure.text for failure in failures if failure.text.strip()), None)
        quoted = f" For example it said {said.strip()[:QUOTED]!r}." if said is not None else ""
        raise StageError(
            f"Of {asked} questions the teacher failed on {len(failures)} so far, more than teacher.max_failed="
            f"{self.config.max_failed:g} allows ({told}).{quoted} Finished replies are kept: mend the teacher or raise "
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


def teach_pairs(
    lab: Lab,
    teacher: Teacher,
    name: str,
    inputs: Sequence[Handle],
    pairs: Callable[[], Sequence[ResponsePair]],
    protocol: PairProtocol,
    prompt: PromptConfig,
    orders: Sequence[Order],
    count: int,
    *,
    usable: Read | None = None,
) -> Handle:
    """A stage of the teacher's judgments of pairs: ``judgments.jsonl`` holds valid ones only, in order of the pairs.

    :param inputs: what ``pairs`` reads
    :param prompt: what ``protocol`` is made of, as it determines the stage
    :param count: pairs at most, for planning
    :param usable: also says why a reply with a verdict cannot be used; ids are ``PAIR/ORDER``
    """

    def read(name: str, text: str, truncated: bool) -> str | None:
        invalid = protocol.read(text, truncated).invalid
        return invalid if invalid is not None or usable is None else usable(name, text, truncated)

    def build(workspace: Workspace) -> None:
        asked = [(pair, order) for pair in pairs() for order in orders]
        questions = [Question(f"{pair.id}/{order}", protocol.judge_prompt(pair, order)) for pair, order in asked]
        replies = teacher.ask(questions, read, workspace, name, verdicts=protocol)
        rows = [
            Judgment(
                pair.id, order, 0, name_response(protocol.read(replies[key], False).verdict, order), None, replies[key]
            )
            for pair, order in asked
            if (key := f"{pair.id}/{order}") in replies
        ]
        write_rows(workspace.path / "judgments.jsonl", rows)

    total = count * len(orders)
    settings = teacher.settings | {"prompt": asdict(prompt), "orders": list(orders)}
    return _stage(lab, teacher, name, settings, inputs, build, total)


def teach_scores(
    lab: Lab,
    teacher: Teacher,
    name: str,
    inputs: Sequence[Handle],
    responses: Callable[[], Sequence[Response]],
    protocol: PointProtocol,
    prompt: PromptConfig,
    count: int,
    *,
    usable: Read | None = None,
) -> Handle:
    """A stage of the teacher's scores of single responses: ``scores.jsonl`` holds valid ones only.

    Parameters as ``teach_pairs``; ids are those of the responses.
    """

    def read(name: str, text: str, truncated: bool) -> str | None:
        invalid = protocol.read_score(text, truncated).invalid
        return invalid if invalid is not None or usable is None else usable(name, text, truncated)

    def build(workspace: Workspace) -> None:
        questions = [Question(row.id, protocol.score_prompt(row)) for row in responses()]
        replies = teacher.ask(questions, read, workspace, name)
        rows = [ScoreRow(key, 0, protocol.read_score(text, False).score, None, text) for key, text in replies.items()]
        write_rows(workspace.path / "scores.jsonl", rows)

    return _stage(lab, teacher, name, teacher.settings | {"prompt": asdict(prompt)}, inputs, build, count)


def _stage(
    lab: Lab, teacher: Teacher, name: str, settings: Mapping[str, Any], inputs: Sequence[Handle],
    build: Callable[[Workspace], None], total: int,
) -> Handle:  # fmt: skip
    return lab.stage(
        name, 2, settings, [*inputs, teacher.source], build,
        generations=total, tokens=total * (PROMPT_TOKENS + teacher.tokens), note="at most",
    )  # fmt: skip
