"""PandaLM (arXiv 2306.05087): the verdict on the first line, then a reason and a reference answer.

Sections, their order and the target's layout are those of the release; the sentence before them is ours and can be
replaced. A teacher is asked in words for the same parts with the verdict last, so that it can rest on the others; the
paper's request to its teacher is not documented.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.prompts.base import PROMPTS, Reading, fill, shown
from judgekit.prompts.chat import PLAIN
from judgekit.prompts.wording import WordedPrompt
from judgekit.rows import Message, Order, ResponsePair, Verdict
from judgekit.schema.fields import setting

LABELS: dict[Verdict, str] = {"A": "1", "B": "2", "tie": "Tie"}
"""How the verdict is written, by the position it names."""
REFERENCE, REASON, VERDICT = "### Reference:", "### Reason:", "### Verdict:"

TASK = "Two responses to the task below are given. Judge which one does it better, and write a reference answer."
TASK_INPUT = (
    "Two responses to the task below are given; the task's input follows its instruction. Judge which one does it "
    "better, and write a reference answer."
)
SECTIONS = "### Instruction:\n{instruction}\n\n{input}### Response 1:\n{response_1}\n\n### Response 2:\n{response_2}"
INPUT = "### Input:\n{input}\n\n"
EVALUATION = "\n\n### Evaluation:\n"
TARGET = "{verdict}\n\n### Reason: {reason}\n\n### Reference: {reference}\n"

TEACHER = (
    "You compare two responses to a task and teach others how to. Judge correctness first, then how well each response "
    "follows the instruction, then how concise, clear and complete it is; the order in which the responses are shown "
    "must not matter. Write exactly three parts, each begun by its marker at the start of a line:\n"
    f"{REFERENCE} the best answer to the task you can give\n"
    f"{REASON} in a few sentences, why one response is better than the other, or why neither is\n"
    f"{VERDICT} 1 if Response 1 is better, 2 if Response 2 is better, Tie if they are equally good; nothing after it"
)
TEACHER_BRIEF = "You compare two responses."
TAUGHT = f"{REFERENCE} {{reference}}\n{REASON} {{reason}}\n{VERDICT}\n{{verdict}}"

SPECIAL = re.compile(
    r"<unk>|<pad>|<s>|</s>|\[PAD\]|\[UNK\]|\[CLS\]|\[MASK\]|\[[gs]MASK\]|<\|(?:endoftext|(?:start|end)ofpiece)\|>"
)
"""Names of special tokens, which the release takes out of responses."""
_PARTS = re.compile(rf"^(?:{REFERENCE}|{REASON}|{VERDICT})", re.MULTILINE)
_TARGET = re.compile(rf"\w+\n+{REASON} *(?P<reason>\S.*?)\n+{REFERENCE} *(?P<reference>\S.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a whole judgment consists of.

    :param verdict: names a position (A = shown first)
    """

    verdict: Verdict
    reason: str
    reference: str


@dataclass(frozen=True)
class PandaLMPrompt(WordedPrompt):
    """``prompt=pandalm``: the verdict on the first line, then a reason and a reference (PandaLM, arXiv 2306.05087)."""

    release: ClassVar[str] = "pandalm"
    sentences: ClassVar[Mapping[str, str]] = {"task": "task", "task_input": "task_input"}
    name: Literal["pandalm"] = setting("pandalm", "protocol")
    style: Literal["judge", "teacher", "teacher_brief"] = setting(
        "judge",
        "judge: the format that is trained; teacher: asks a chat model for the same parts with the verdict last; "
        "teacher_brief: likewise for small models",
    )
    chat: bool = setting(
        True, "the judge's prompt is a user's message; false: plain text, as the released weights and base models read"
    )
    task: str | None = setting(None, "first sentence of the judge's prompt in place of ours, as some weights know it")
    task_input: str | None = setting(None, "likewise where the task has an input")


@PROMPTS.protocol(PandaLMPrompt)
@dataclass(frozen=True, slots=True)
class PandaLM:
    """Prompts and parsers."""

    config: PandaLMPrompt

    verdict_tokens: ClassVar[tuple[str, ...]] = ("1", "2", "Tie")

    @property
    def teaches(self) -> bool:
        """Whether this is how a teacher is asked."""
        return self.config.style != "judge"

    @property
    def verdict_lead(self) -> str:
        """What stands before the verdict: nothing, unless it comes last."""
        return f"\n{VERDICT}\n" if self.teaches else ""

    @property
    def verdict_stops(self) -> tuple[str, ...]:
        """Where a teacher's reasoning ends; a judge's verdict comes at once."""
        return (VERDICT,) if self.teaches else ()

    def judge_prompt(self, pair: ResponsePair, order: Order) -> tuple[Message, ...]:
        """The prompt for a pair in one order: plain text, or a chat."""
        first, second = (SPECIAL.sub("", text.strip()).strip() for text in shown(pair, order))
        task, given = split_input(pair)
        sections = fill(
            SECTIONS, instruction=task, input=fill(INPUT, input=given) if given else "", response_1=first,
            response_2=second,
        )  # fmt: skip
        if self.teaches:
            system = TEACHER if self.config.style == "teacher" else TEACHER_BRIEF
            return ({"role": "system", "content": system}, {"role": "user", "content": sections})
        sentence = self.config.sentence("task_input", TASK_INPUT) if given else self.config.sentence("task", TASK)
        text = f"{sentence}\n\n{sections}{EVALUATION}"
        return ({"role": "user" if self.config.chat else PLAIN, "content": text},)

    def target(self, parts: Parts) -> str:
        """A whole judgment as this protocol's judge or teacher writes it."""
        template = TAUGHT if self.teaches else TARGET
        return fill(template, verdict=LABELS[parts.verdict], reason=parts.reason, reference=parts.reference)

    def parts(self, text: str) -> Parts | str:
        """The parts of a whole judgment, or why it has not got them."""
        return read_parts(text) if self.teaches else read_target(text)

    def read(self, text: str, truncated: bool) -> Reading:
        """A judge's verdict is its first line and nothing else; a teacher's counts only with a reason and a reference.

        The release takes every other first line for a tie (``invalid_as=tie`` does so). A judge whose reply was cut
        off has given its verdict already.

        :param truncated: the reply hit its token limit
        """
        if self.teaches:
            parts = read_parts(text)
            if isinstance(parts, Parts):
                return Reading(parts.verdict, None)
            return Reading(None, "truncated" if truncated else parts)
        if not text.strip():
            return Reading(None, "truncated" if truncated else "missing")
        verdict = read_label(text.strip().split("\n")[0])
        return Reading(verdict, None) if verdict else Reading(None, "no verdict on the first line")


def read_label(line: str) -> Verdict | None:
    """``1``, ``2`` or ``Tie`` (in any case) exactly; None for anything else, such as ``1.`` or ``Tie`` and a space."""
    return {"1": "A", "2": "B", "tie": "tie"}.get(line.lower())  # type: ignore[return-value]


def read_parts(text: str) -> Parts | str:
    """The parts of a teacher's reply, or why it has not got them: each marker once, in order, none of them empty."""
    found = _PARTS.findall(text)
    for marker, name in ((REFERENCE, "reference"), (REASON, "reason"), (VERDICT, "verdict")):
        if found.count(marker) != 1:
            return f"ambiguous {name}" if marker in found else f"no {name}"
    if found != [REFERENCE, REASON, VERDICT]:
        return "parts out of order"
    reference, reason, label = (part.strip() for part in _PARTS.split(text)[1:])
    verdict = read_label(label)
    if verdict is None:
        return "no verdict"
    if not reference or not reason:
        return "empty reason" if reference else "empty reference"
    return Parts(verdict, reason, reference)


def read_target(text: str) -> Parts | str:
    """The parts of a judge's reply, or why it has not got them."""
    verdict = read_label(text.strip().split("\n")[0])
    if verdict is None:
        return "no verdict on the first line"
    found = _TARGET.fullmatch(text.strip())
    if found is None:
        return "no reason and reference"
    return Parts(verdict, found["reason"].strip(), found["reference"].strip())


def split_input(pair: ResponsePair) -> tuple[str, str]:
    """The task and its input, which is empty where the data does not keep the two apart."""
    if pair.input is None or not pair.input.strip() or not pair.instruction.endswith(pair.input):
        return pair.instruction, ""
    return pair.instruction[: -len(pair.input)].rstrip("\n"), pair.input
