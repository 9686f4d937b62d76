"""The CritiqueLLM protocols: a critique by dimensions that ends in a dictionary of scores or of the better answer.

Slots, type names, dimensions and output format are those of arXiv 2311.18702 and its release (``style: zh``); the
English labels are ours. What the judge is shown is short: the kind of answer, the question, a reference answer where
there is one, the answer or answers. What a critique is to hold is in the training data, not in the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from judgekit.prompts.base import PROMPTS, PromptConfig, Reading, ScoreReading, fill, shown
from judgekit.prompts.chat import PLAIN
from judgekit.prompts.scores import one_score, stated
from judgekit.rows import Message, Order, Response, ResponsePair, Verdict
from judgekit.schema.fields import setting

SCALE = (1.0, 10.0)

AnswerType = str
"""``factual``, ``reasoning``, ``writing`` or ``advice``: which dimensions an answer is judged by."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What everything is called in one style.

    :param types: name of each answer type and its dimensions
    :param overall: key of the overall score; ``comparison`` that of the better answer
    :param verdicts: values of ``comparison``: first, second, neither
    """

    types: Mapping[AnswerType, tuple[str, tuple[str, ...]]]
    overall: str
    comparison: str
    verdicts: tuple[str, str, str]
    question: str
    reference: str
    answer: str
    answers: str


_ZH = Labels(
    types={
        "factual": ("事实与解释型回答", ("事实正确性", "满足用户需求", "清晰度", "完备性")),
        "reasoning": ("逻辑推理型回答", ("事实正确性", "满足用户需求", "逻辑连贯性", "完备性")),
        "writing": ("生成型回答", ("事实正确性", "满足用户需求", "逻辑连贯性", "创造性", "丰富度")),
        "advice": ("建议型回答", ("事实正确性", "满足用户需求", "公平与可负责程度", "创造性")),
    },
    overall="综合得分",
    comparison="综合比较结果",
    verdicts=("助手1", "助手2", "质量相当"),
    question="用户的提问：{question}\n",
    reference="[参考答案开始]\n{reference}\n[参考答案结束]\n",
    answer="[助手的答案开始]\n{response}\n[助手的答案结束]",
    answers="[助手1的答案开始]\n{first}\n[助手1的答案结束]\n[助手2的答案开始]\n{second}\n[助手2的答案结束]",
)
_CORRECT, _NEED = "Factual accuracy", "User need"
_EN = Labels(
    types={
        "factual": ("Fact or explanation", (_CORRECT, _NEED, "Clarity", "Completeness")),
        "reasoning": ("Reasoning", (_CORRECT, _NEED, "Logical coherence", "Completeness")),
        "writing": ("Writing", (_CORRECT, _NEED, "Logical coherence", "Creativity", "Richness")),
        "advice": ("Advice", (_CORRECT, _NEED, "Fairness and responsibility", "Creativity")),
    },
    overall="Overall score",
    comparison="Overall comparison",
    verdicts=("Assistant 1", "Assistant 2", "Tie"),
    question="User's question: {question}\n",
    reference="[Start of reference answer]\n{reference}\n[End of reference answer]\n",
    answer="[Start of assistant's answer]\n{response}\n[End of assistant's answer]",
    answers=(
        "[Start of Assistant 1's answer]\n{first}\n[End of Assistant 1's answer]\n"
        "[Start of Assistant 2's answer]\n{second}\n[End of Assistant 2's answer]"
    ),
)
LABELS: Mapping[str, Labels] = {"zh": _ZH, "en": _EN, "brief": _EN}
"""Labels by style; ``brief`` knows no dimensions."""

_TYPE_OF: Mapping[str, AnswerType] = {
    "基本任务": "factual", "基本能力": "factual", "中文理解": "factual", "专业能力": "factual",
    "综合问答": "advice", "文本写作": "writing", "角色扮演": "writing", "多语言能力": "writing",
    "逻辑推理": "reasoning", "数学计算": "reasoning", "代码": "reasoning",
    "language": "factual", "understanding": "factual", "knowledge": "factual", "open question": "advice",
    "writing": "writing", "role play": "writing", "multilingual": "writing", "reasoning": "reasoning",
    "mathematics": "reasoning", "code": "reasoning",
}  # fmt: skip
"""Answer type by task type: AlignBench's eight and the paper's two more, and what we call them in English."""

TASK_TYPES: Mapping[str, tuple[str, ...]] = {
    "zh": tuple(name for name in _TYPE_OF if not name.isascii() and name != "基本能力"),
    "en": tuple(name for name in _TYPE_OF if name.isascii()),
}
"""The ten task types by language."""

_RELEASED_TYPES: Mapping[str, AnswerType] = {
    name: kind
    for kind, names in {
        # Auto-J's scenarios
        "factual": (
            "language_polishing text_simplification keywords_extraction explaining_general brainstorming ranking "
            "value_judgement verifying_fact text_to_text_translation analyzing_general information_extraction "
            "classification_identification data_analysis reading_comprehension topic_modeling open_question "
            # LLMEval's categories
            "Factual_questions Rewrite Retrieval Role_playing"
        ),
        "reasoning": (
            "code_simplification math_reasoning solving_exam_question_with_math counterfactual "
            "code_correction_rewriting explaining_code solving_exam_question_without_math code_to_code_translation "
            "Reading_Comprehension Reasoning Math_Solving Classification Code"
        ),
        "writing": (
            "post_summarization writing_advertisement writing_product_description writing_news_article "
            "writing_marketing_materials note_summarization writing_biography writing_scientific_paper others "
            "creative_writing instructional_rewriting roleplay code_generation writing_email writing_song_lyrics "
            "writing_personal_essay question_generation functional_writing planning text_summarization "
            "writing_blog_post writing_presentation_script paraphrasing writing_cooking_recipe title_generation "
            "text_correction writing_social_media_post writing_legal_document writing_technical_document "
            "writing_job_application chitchat "
            "Open_questions Translation Story_Generation Poetry Summary Outline_Generation Paragraph_Generation "
            "Conversation"
        ),
        "advice": "asking_how_to_question seeking_advice recommendation",
    }.items()
    for name in names.split()
}
"""Answer type by the release's tables for Auto-J's scenarios and LLMEval's categories, which one letter case tells
apart: ``reading_comprehension`` is factual, ``Reading_Comprehension`` reasoning."""

_RELEASED_NUMBER = r"((?:0|10)(?:\.0*)?|[0-9](?:\.\d*)?)"


def known_task(category: str | None) -> str | None:
    """The task type in a category, which may follow the name of a source (``SOURCE/TYPE``); None: it is not known."""
    task = (category or "").rpartition("/")[2].casefold()
    return task if task in _TYPE_OF else None


def answer_type(category: str | None, default: AnswerType) -> AnswerType:
    """The answer type of a task type, of a scenario of Auto-J or of a category of LLMEval."""
    name = (category or "").rpartition("/")[2]
    return _RELEASED_TYPES.get(name) or _TYPE_OF.get(known_task(category) or "", default)


def dimensions(style: str, kind: AnswerType) -> tuple[str, ...]:
    """What an answer of this type is judged by; nothing in particular in the brief style."""
    return () if style == "brief" else LABELS[style].types[kind][1]


def _opening(style: str, kind: AnswerType, question: str, reference: str | None) -> str:
    labels = LABELS[style]
    tag = "" if style == "brief" else f"[{labels.types[kind][0]}]\n"
    known = fill(labels.reference, reference=reference) if reference else ""
    return tag + fill(labels.question, question=question) + known


def _message(text: str, plain: bool) -> tuple[Message, ...]:
    return ({"role": PLAIN if plain else "user", "content": text},)


@dataclass(frozen=True)
class _CritiquePrompt(PromptConfig):
    """What both protocols have."""

    style: Literal["zh", "en", "brief"] = setting(
        "en",
        "wording and labels. zh: Chinese, the released weights' own; en: English; brief: English in few words and an "
        "overall score without dimensions, for small models",
    )
    answer_type: Literal["factual", "reasoning", "writing", "advice"] = setting(
        "factual", "what answers to task types the protocol does not know are judged as"
    )
    reference: bool = setting(True, "show the reference answer of rows that have one")
    plain: bool = setting(False, "shown as plain text, as the released weights read it; false: as a user's message")
    parser: Literal["strict", "release"] = setting(
        "strict",
        "how replies are read. strict: one score, one verdict, and not cut off; release: as its code, the first score, "
        "and the first of its three verdicts that occurs anywhere",
    )


@dataclass(frozen=True)
class CritiquePointPrompt(_CritiquePrompt):
    """``prompt=critiquellm_point``: a critique of one answer with scores from 1 to 10, as CritiqueLLM's."""

    name: Literal["critiquellm_point"] = setting("critiquellm_point", "protocol")


@PROMPTS.protocol(CritiquePointPrompt)
@dataclass(frozen=True, slots=True)
class CritiquePoint:
    """A critique of one answer, with scores from 1 to 10."""

    config: CritiquePointPrompt

    @property
    def scale(self) -> tuple[float, float]:
        """Worst and best score."""
        return SCALE

    @property
    def verdict_tokens(self) -> tuple[str, ...]:
        """The allowed endings, for constrained decoding by a teacher; none where dimensions are scored too."""
        if self.config.style != "brief":
            return ()
        return tuple(self.ending(score) for score in range(int(SCALE[0]), int(SCALE[1]) + 1))

    @property
    def verdict_lead(self) -> str:
        """A line of its own."""
        return "\n"

    @property
    def verdict_stops(self) -> tuple[str, ...]:
        """Where the text ends."""
        return ("{'",)

    def ending(self, score: float, scores: Mapping[str, float] | None = None) -> str:
        """The dictionary at the end of a critique.

        :param scores: by dimension
        """
        entries = [*(scores or {}).items(), (LABELS[self.config.style].overall, score)]
        return "{" + ", ".join(f"'{name}': {value:g}" for name, value in entries) + "}"

    def score_prompt(self, row: Response) -> tuple[Message, ...]:
        """The prompt for a response; its reference is shown where it has one and the configuration wants it."""
        config = self.config
        kind = answer_type(row.subset, config.answer_type)
        text = _opening(config.style, kind, row.instruction, row.reference if config.reference else None)
        return _message(text + fill(LABELS[config.style].answer, response=row.response), config.plain)

    def read_score(self, text: str, truncated: bool) -> ScoreReading:
        """The overall score: the one in a dictionary or, where there is none, after its name.

        Several different ones are ambiguous. With ``parser: release`` the first counts, whatever its size (of ``12``
        the ``1``); where it finds none the release takes 5, and here there is no score.

        :param truncated: the reply hit its token limit; it then has a score only if it ended in its dictionary
        """
        if self.config.parser == "release":
            return self._first_score(text, truncated)
        if truncated and not text.rstrip().endswith("}"):
            return ScoreReading(None, "truncated")
        name = re.escape(LABELS[self.config.style].overall)
        for pattern in (rf"['\"]{name}['\"]\s*[:：]\s*([^,，}}\n]*)", rf"{name}\s*[:：]\s*([^\n]*)"):
            said = (stated(head[1], SCALE[1], text[head.end() :]) for head in re.finditer(pattern, text))
            found = one_score(said, *SCALE)
            if found.invalid != "missing":
                break
        return found

    def _first_score(self, text: str, truncated: bool) -> ScoreReading:
        name = LABELS[self.config.style].overall
        for before in (f"'{name}': ", f"{name}: ", f"{name}："):
            if found := re.search(before + _RELEASED_NUMBER, text):
                return ScoreReading(float(found[1]), None)
        return ScoreReading(None, "truncated" if truncated else "missing")


@dataclass(frozen=True)
class CritiquePairPrompt(_CritiquePrompt):
    """``prompt=critiquellm``: a comparison of two answers that ends in the better one, as CritiqueLLM's."""

    name: Literal["critiquellm"] = setting("critiquellm", "protocol")


@PROMPTS.protocol(CritiquePairPrompt)
@dataclass(frozen=True, slots=True)
class CritiquePair:
    """A comparison of two answers, which ends in the better one or in neither."""

    config: CritiquePairPrompt

    @property
    def verdict_tokens(self) -> tuple[str, ...]:
        """The three endings: the first answer, the second, neither."""
        return tuple(self.ending(place) for place in range(3))

    @property
    def verdict_lead(self) -> str:
        """A line of its own."""
        return "\n"

    @property
    def verdict_stops(self) -> tuple[str, ...]:
        """Where the text ends."""
        return ("{'",)

    def ending(self, place: int) -> str:
        """The dictionary at the end of a comparison.

        :param place: 0: the first answer is better, 1: the second, 2: neither
        """
        labels = LABELS[self.config.style]
        return f"{{'{labels.comparison}': '{labels.verdicts[place]}'}}"

    def judge_prompt(self, pair: ResponsePair, order: Order) -> tuple[Message, ...]:
        """The prompt for a pair in one order; its reference is shown as in ``CritiquePoint.score_prompt``."""
        config, (first, second) = self.config, shown(pair, order)
        kind = answer_type(pair.subset, config.answer_type)
        text = _opening(config.style, kind, pair.instruction, pair.reference if config.reference else None)
        return _message(text + fill(LABELS[config.style].answers, first=first, second=second), config.plain)

    def read(self, text: str, truncated: bool) -> Reading:
        """The verdict in a reply's dictionary; several different ones are ambiguous.

        With ``parser: release`` that of the first answer counts wherever it stands, then that of the second, then
        neither.

        :param truncated: the reply hit its token limit; it then has a verdict only if it ended in its dictionary
        """
        positions: tuple[Verdict, ...] = ("A", "B", "tie")
        if self.config.parser == "release":
            said = [verdict for place, verdict in enumerate(positions) if self.ending(place) in text]
            return Reading(said[0], None) if said else Reading(None, "truncated" if truncated else "missing")
        if truncated and not text.rstrip().endswith("}"):
            return Reading(None, "truncated")
        labels = LABELS[self.config.style]
        found = set(re.findall(rf"['\"]{labels.comparison}['\"]\s*[:：]\s*['\"]([^'\"]*)['\"]", text))
        if len(found) != 1:
            return Reading(None, "ambiguous" if found else "missing")
        known = dict(zip(labels.verdicts, positions, strict=True))
        verdict = known.get(found.pop())
        return Reading(verdict, None) if verdict else Reading(None, "out of range")
