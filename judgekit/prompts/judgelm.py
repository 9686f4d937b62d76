"""The JudgeLM protocol (arXiv 2310.17631): the scores of all answers on one line, then the reasons.

Slots, tags and output format are those of the paper and its release; the wording is ours, and ``wording``, ``opening``
and ``request`` take another one, such as the wording that released weights were trained with. One prompt serves every
mode: two answers or N, with and without a reference, one turn or several; *fast* ends the reply after the score line,
and a single answer is scored as the second of two, whose first is the reference with its score already written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.errors import DataError, Problem
from judgekit.prompts.base import PROMPTS, Reading, ScoreReading, ScoresReading, fill, no_room, shown
from judgekit.prompts.chat import PLAIN
from judgekit.prompts.wording import WordedPrompt
from judgekit.rows import Message, Order, Response, ResponsePair, Verdict
from judgekit.schema.fields import setting

OPENING = {
    "full": "You are a careful assistant who checks how good the answers of AI assistants are.",
    "brief": "You score answers.",
}
REQUEST = {
    "full": (
        "Compare how well the {number} AI assistants answered the question above{turns}. Look at how helpful, relevant "
        "and accurate each answer is and how much detail it gives.{reference} Score every assistant from {low} to "
        "{high}; the higher the score, the better the whole answer. The first line of your reply holds nothing but the "
        "{number} scores, of {assistants} in this order, with a space between them. From the second line on explain "
        "your scores in full. Neither the order in which the answers are shown nor any other bias may change them."
    ),
    "brief": "Score {assistants} from {low} to {high} on the first line.{reference}",
}
REFERENCE = {
    "full": " A reference answer is given: measure the answers against it.",
    "brief": "",
}
TURNS = " over all turns of the conversation"

QUESTION = "[Question]\n{question}\n\n"
REFERENCE_ANSWER = "[Reference Answer]\n{reference}\n\n"
ANSWER = "[The Start of Assistant {place}'s Answer]\n{answer}\n\n[The End of Assistant {place}'s Answer]\n\n"
REQUESTED = "[System]\n{request}\n\n### Response:"

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
"""Words for the number of answers; more are written in digits."""

SCORE_LINES = ("9 4", "4 9")
"""Score lines of worked reviews, where the configuration gives none."""

_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)")


def read_scores(
    text: str, count: int, low: float, high: float, *, rule: str = "any", truncated: bool = False
) -> ScoresReading:
    """The scores on the first line of a reply.

    - ``any``: numbers between white space and commas (``8 7``, ``8, 7``, ``8.5,7``), all from ``low`` to ``high``; a
      first line that is blank is passed over
    - ``release``: as the released code: of the stripped text the first line, commas become spaces, then exactly
      ``count`` floats between single spaces, so ``8, 7`` is not read; no range

    Reasons: ``missing`` (no text), ``truncated`` (cut inside the score line), ``not scores`` (other words on the line),
    ``wrong number of scores``, ``out of range``.

    :param count: answers that were shown
    :param truncated: the reply hit its token limit; reasons that are cut do no harm to scores that stand before them
    """
    line = text.strip().partition("\n")[0]
    if not line:
        return ScoresReading(None, "truncated" if truncated else "missing")
    if truncated and "\n" not in text.lstrip():
        return ScoresReading(None, "truncated")
    words = line.replace(",", " ").split(" ") if rule == "release" else line.replace(",", " ").split()
    found = [_released(word) if rule == "release" else _number(word) for word in words]
    scores = tuple(score for score in found if score is not None)
    if len(scores) < len(found):
        return ScoresReading(None, "not scores")
    if len(scores) != count:
        return ScoresReading(None, "wrong number of scores")
    if not all(map(math.isfinite, scores)) or (rule != "release" and not all(low <= one <= high for one in scores)):
        return ScoresReading(None, "out of range")
    return ScoresReading(scores)


def _number(word: str) -> float | None:
    return float(word) if _NUMBER.fullmatch(word) else None


def _released(word: str) -> float | None:
    """Whatever Python takes for a number."""
    try:
        return float(word)
    except ValueError:
        return None


def judge_text(
    config: JudgeLMPrompt | JudgeLMSinglePrompt, question: str, answers: Sequence[str], reference: str | None = None
) -> str:
    """The whole prompt for some answers, up to where the reply begins.

    :param answers: in the order shown; a single answer stands behind the reference here
    :param reference: shown as the reference answer
    """
    count = len(answers)
    number = NUMBERS[count - 2] if count - 2 < len(NUMBERS) else str(count)
    names = [str(place) for place in range(1, count + 1)]
    request = fill(
        config.sentence("request", REQUEST[config.style]),
        number=number,
        assistants=f"Assistant {', '.join(names[:-1])} and {names[-1]}",
        low=f"{config.low:g}",
        high=f"{config.high:g}",
        turns=TURNS if config.multi_turn else "",
        reference=REFERENCE[config.style] if reference is not None else "",
    )
    text = config.sentence("opening", OPENING[config.style]) + "\n" + fill(QUESTION, question=question)
    text += fill(REFERENCE_ANSWER, reference=reference) if reference is not None else ""
    for name, answer in zip(names, answers, strict=True):
        text += fill(ANSWER, place=name, answer=answer)
    return text + fill(REQUESTED, request=request)


@dataclass(frozen=True)
class _Wording(WordedPrompt):
    """What both protocols have."""

    release: ClassVar[str] = "judgelm"
    sentences: ClassVar[Mapping[str, str]] = {"opening": "opening", "request": "request"}
    style: Literal["full", "brief"] = setting("full", "wording; slots and output format are the same")
    low: float = setting(1.0, "worst score")
    high: float = setting(10.0, "best score")
    fast: bool = setting(False, "end the reply after the score line")
    multi_turn: bool = setting(False, "answers are whole conversations; the judge is told to look at every turn")
    parser: Literal["any", "release"] = setting(
        "any",
        "how scores are read. any: separated by white space and commas, within the scale; release: as its code does",
    )
    plain: bool = setting(False, "ask in plain text, as the released weights read it; otherwise as a chat")
    opening: str | None = setting(None, "first sentence of the prompt; null: ours")
    request: str | None = setting(
        None, "what is asked for, with the slots {number} {assistants} {low} {high} {turns} {reference}; null: ours"
    )

    def problems(self) -> list[Problem]:
        """Slots that stand for nothing, and a scale without room."""
        unknown = sorted(set(re.findall(r"\{(\w+)\}", self.request or "")) - set(SLOTS))
        found = [Problem("request", f"{{{name}}} stands for nothing", f"Slots: {', '.join(SLOTS)}") for name in unknown]
        return [*super().problems(), *found, *no_room(self.low, self.high)]


SLOTS = ("number", "assistants", "low", "high", "turns", "reference")


@dataclass(frozen=True)
class JudgeLMPrompt(_Wording):
    """``prompt=judgelm``: the scores of two or more answers on one line, then the reasons."""

    name: Literal["judgelm"] = setting("judgelm", "protocol")
    margin: float = setting(0.0, "T: scores that differ by no more than this are a tie", ge=0.0)
    reference: bool = setting(True, "show the reference answer of pairs that have one")
    at_once: bool = setting(False, "score several responses to one instruction in one reply instead of pair by pair")
    score_lines: tuple[str, ...] = setting(
        (), "score lines that constrained decoding chooses among: for the first answer, for the second, tie (optional)"
    )

    def problems(self) -> list[Problem]:
        """Also score lines that do not say what they are to say."""
        said = [JudgeLM(self).read(line, False).verdict for line in self.score_lines]
        if said in ([], ["A", "B"], ["A", "B", "tie"]):
            return super().problems()
        message = f"{list(self.score_lines)} are no scores for the first answer, for the second and perhaps a tie"
        return [*super().problems(), Problem("score_lines", message, "For example [9 4, 4 9]")]


@PROMPTS.protocol(JudgeLMPrompt)
@dataclass(frozen=True, slots=True)
class JudgeLM:
    """Two answers, or several, in one reply."""

    config: JudgeLMPrompt

    verdict_lead: ClassVar[str] = ""
    verdict_stops: ClassVar[tuple[str, ...]] = ()
    prefill: ClassVar[str] = ""

    @property
    def verdict_tokens(self) -> tuple[str, ...]:
        """The score lines that constrained decoding chooses among: in favour of the first answer, the second, a tie."""
        return self.config.score_lines

    @property
    def stops(self) -> tuple[str, ...]:
        """In fast mode the reply ends with its score line."""
        return ("\n",) if self.config.fast else ()

    @property
    def at_once(self) -> bool:
        """Whether several answers are scored in one reply."""
        return self.config.at_once

    def judge_prompt(self, pair: ResponsePair, order: Order) -> tuple[Message, ...]:
        """The prompt for a pair in one order."""
        reference = pair.reference if self.config.reference else None
        return _ask(self.config, judge_text(self.config, pair.instruction, shown(pair, order), reference or None))

    def many_prompt(self, question: str, answers: Sequence[str], reference: str | None = None) -> tuple[Message, ...]:
        """The prompt for several answers at once, in the order given.

        :raises ValueError: for fewer than two
        """
        if len(answers) < 2:
            raise ValueError("there is nothing to compare in fewer than two answers")
        shown_reference = (reference or None) if self.config.reference else None
        return _ask(self.config, judge_text(self.config, question, answers, shown_reference))

    def stitch(self, plan: str, execution: str, position: str) -> str:
        """A worked review: scores that favour the better answer, then the requirement and a check of each answer."""
        line = (self.config.score_lines or SCORE_LINES)[position != "A"]
        checks = re.sub(r"(?m)^Answer ([AB]):", lambda match: f"Assistant {'AB'.index(match[1]) + 1}:", execution)
        return f"{line}\n{plan}\n{checks.strip()}"

    def read(self, text: str, truncated: bool) -> Reading:
        """The verdict of the two scores.

        :param truncated: the reply hit its token limit
        """
        found = self.read_many(text, truncated, 2)
        if found.scores is None:
            return Reading(None, found.invalid)
        first, second = found.scores
        return Reading(self.compare(first, second), None, (first, second))

    def compare(self, first: float, second: float) -> Verdict:
        """The answer with the higher score; a tie where they differ by no more than the margin."""
        gap = first - second
        return "tie" if abs(gap) <= self.config.margin else "A" if gap > 0 else "B"

    def read_many(self, text: str, truncated: bool, count: int) -> ScoresReading:
        """The scores of ``count`` answers."""
        config = self.config
        return read_scores(text, count, config.low, config.high, rule=config.parser, truncated=truncated)


@dataclass(frozen=True)
class JudgeLMSinglePrompt(_Wording):
    """``prompt=judgelm_single``: one answer scored against a reference, which already has the best score."""

    name: Literal["judgelm_single"] = setting("judgelm_single", "protocol")
    reference: bool = setting(False, "show the reference as reference answer too, not only in the place of Assistant 1")


@PROMPTS.protocol(JudgeLMSinglePrompt)
@dataclass(frozen=True, slots=True)
class JudgeLMSingle:
    """One answer, scored against the reference: the reference is Assistant 1 and already has the best score."""

    config: JudgeLMSinglePrompt

    @property
    def prefill(self) -> str:
        """The score of the reference, with which the reply begins."""
        return f"{self.config.high:g}"

    @property
    def stops(self) -> tuple[str, ...]:
        """In fast mode the reply ends with its score line."""
        return ("\n",) if self.config.fast else ()

    @property
    def scale(self) -> tuple[float, float]:
        """Worst and best score."""
        return self.config.low, self.config.high

    def score_prompt(self, row: Response) -> tuple[Message, ...]:
        """The prompt for a response.

        :raises DataError: for a response without a reference
        """
        if not row.reference:
            message = f"row '{row.id}' has none, and prompt=judgelm_single scores against it; use prompt=rating"
            raise DataError(message, file="responses", field="reference")
        answers = (row.reference, row.response)
        reference = row.reference if self.config.reference else None
        return _ask(self.config, judge_text(self.config, row.instruction, answers, reference))

    def read_score(self, text: str, truncated: bool) -> ScoreReading:
        """The score that follows that of the reference.

        :param text: the reply without its prefill
        :param truncated: the reply hit its token limit
        """
        config = self.config
        whole = self.prefill + text
        found = read_scores(whole, 2, config.low, config.high, rule=config.parser, truncated=truncated)
        return ScoreReading(found.scores[1] if found.scores else None, found.invalid)


def _ask(config: JudgeLMPrompt | JudgeLMSinglePrompt, text: str) -> tuple[Message, ...]:
    return ({"role": PLAIN if config.plain else "user", "content": text},)
