"""What a teacher is asked for on the way to CritiqueLLM's training data (arXiv 2311.18702, Eval-Instruct).

A critique of one answer against a reference; the same without mention of the reference (R2RF, as a second turn of the
dialogue); a comparison of two answers out of their critiques (P2P); a comparison without mention of the reference
(R2RF, in one turn). The steps, the bands of scores and the output format are the paper's, the wording is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from judgekit.prompts.base import fill
from judgekit.prompts.critiquellm import LABELS, answer_type, dimensions
from judgekit.rows import Message, Response, ResponsePair


@dataclass(frozen=True, slots=True)
class Wording:
    """What a teacher is asked with in one style.

    :param point: critique one answer against a reference
    :param unreference_point: rewrite that critique without the reference, as a second turn
    :param compare: compare two answers, each with its critique
    :param unreference_pair: rewrite a comparison without the reference
    :param dimension: one line of ``{dimensions}``
    :param critiqued: an answer with its critique
    :param comparison: the comparison to rewrite
    """

    point: str
    unreference_point: str
    compare: str
    unreference_pair: str
    dimension: str
    critiqued: str
    comparison: str
    meanings: Mapping[str, str]


_ZH = Wording(
    point=(
        "请你作为公正的评审，评价一个AI助手对用户提问的回答。这个回答属于“{type}”，请依次考察以下维度：\n{dimensions}"
        "除回答外，你还会看到一份质量较高的参考答案，它在评分标准中相当于8分。要求：\n"
        "一、逐个维度评价，每个维度先写维度名称和1到10的整数分数，再写评语。\n"
        "二、给出1到10的整数综合得分，事实正确性与满足用户需求最为重要。答非所问、有根本性错误或有害：1到2分；"
        "无大错但质量差、没有解决问题：3到4分；基本解决问题但部分维度较弱：5到6分；各维度良好、与参考答案接近：7到8分；"
        "明显好于参考答案且各维度接近满分：9到10分。评分从严。\n"
        "三、对照参考答案说明回答有哪些不足、如何改进。\n"
        "四、最后一行只写一个包含全部分数的字典，形如 {example}。\n\n"
    ),
    unreference_point=(
        "请改写你刚才的评价，使没有看到参考答案的人也能读懂：不得提到参考答案，但保留评价中的具体细节，不足与改进建议也要保留。"
        "仍然先写分数再写评语，维度与格式不变；各项分数与刚才相比最多变动1分。最后一行仍是分数字典，形如 {example}。"
    ),
    compare=(
        "请你作为公正的评审，比较两个AI助手对同一提问的回答。回答属于“{type}”，请从以下维度比较：\n{dimensions}"
        "每个回答都附有一份单独的评价。要求：\n"
        "一、逐个维度写出维度名称和比较分析，用到两份评价中所有可比较的细节，并结合回答的具体内容。\n"
        "二、说明总体上哪个回答更好或两者相当，并给出理由。不要受回答先后顺序的影响。\n"
        "三、评价中的分数只供你参考，文中不得出现任何分数。综合得分相差较大时，除非评价有明显错误，应按得分高低判断；"
        "相差较小时，可以与得分不一致，但要讲明理由。\n"
        "四、最后一行只写结论字典：{first}、{second}或{neither}。\n\n"
    ),
    unreference_pair=(
        "下面是对两个AI助手回答的比较，撰写时看过参考答案。请改写这份比较：不得提到参考答案，保留全部具体细节和结论，"
        "语言通顺、前后一致，维度与格式不变。最后一行仍是结论字典：{first}、{second}或{neither}。\n\n"
    ),
    dimension="- {name}：{meaning}\n",
    critiqued="[助手{number}的答案开始]\n{response}\n[助手{number}的答案结束]\n"
    "[助手{number}的评价开始]\n{critique}\n[助手{number}的评价结束]\n",
    comparison="\n[比较开始]\n{text}\n[比较结束]",
    meanings={
        "事实正确性": "内容是否真实、准确、没有错误",
        "满足用户需求": "是否抓住提问目的并恰当地全面回应",
        "清晰度": "表达是否简明易懂",
        "完备性": "所需的信息和要点是否齐全",
        "逻辑连贯性": "推理和行文是否前后一致",
        "创造性": "是否有新意而不落俗套",
        "丰富度": "内容是否充实、有细节和变化",
        "公平与可负责程度": "建议是否可行、负责、不带偏见且无害",
    },
)
_EN = Wording(
    point=(
        "As an impartial reviewer, review the answer an AI assistant gave to a user's question. It is an answer of the "
        "kind “{type}”, so look at these dimensions in turn:\n{dimensions}"
        "You are also shown a good reference answer, which itself would score 8. Do the following.\n"
        "1. For every dimension write its name and a whole score from 1 to 10, then what you find.\n"
        "2. Give a whole overall score from 1 to 10; factual accuracy and user need matter most. 1 to 2: beside the "
        "question, wrong in its substance, or harmful. 3 to 4: no grave error, but poor and of little use. 5 to 6: "
        "does what was asked on the whole, weak in some dimensions. 7 to 8: good in all dimensions, close to the "
        "reference. 9 to 10: clearly better than the reference and nearly perfect throughout. Be strict.\n"
        "3. Hold the answer against the reference: say what it lacks and how it could be improved.\n"
        "4. As the last line write nothing but a dictionary of all scores, like {example}.\n\n"
    ),
    unreference_point=(
        "Rewrite your review for readers who never saw a reference answer: do not mention one, but keep every detail, "
        "the weaknesses and the advice. Keep the dimensions, the form and the order of score and text; no score may "
        "move by more than 1. The last line is the dictionary of scores again, like {example}."
    ),
    compare=(
        "As an impartial reviewer, compare the answers two AI assistants gave to the same question. They are answers "
        "of the kind “{type}”, so compare them in these dimensions:\n{dimensions}"
        "Each answer comes with a review of it alone. Do the following.\n"
        "1. For every dimension write its name and how the answers compare, using all details of the reviews that can "
        "be compared and what the answers really say.\n"
        "2. Say which answer is better on the whole, or that neither is, and why. Their order must not matter.\n"
        "3. The scores in the reviews are for your eyes only: write none. Where the overall scores are far apart, "
        "follow them unless a review is plainly mistaken; where they are close you may decide otherwise, "
        "if you explain it.\n"
        "4. As the last line write nothing but your decision: {first}, {second} or {neither}.\n\n"
    ),
    unreference_pair=(
        "Below, the answers of two AI assistants are compared by someone who saw a reference answer. Rewrite the "
        "comparison without any mention of a reference; keep all details and the decision, the dimensions and the "
        "form, and let it read as one piece. The last line stays the decision: {first}, {second} or {neither}.\n\n"
    ),
    dimension="- {name}: {meaning}\n",
    critiqued="[Start of Assistant {number}'s answer]\n{response}\n[End of Assistant {number}'s answer]\n"
    "[Start of review of Assistant {number}]\n{critique}\n[End of review of Assistant {number}]\n",
    comparison="\n[Start of comparison]\n{text}\n[End of comparison]",
    meanings={
        "Factual accuracy": "is what it says true, exact and free of errors?",
        "User need": "does it see what the question is after and answer all of it?",
        "Clarity": "is it plain and easy to follow?",
        "Completeness": "is everything there that is needed?",
        "Logical coherence": "do its steps and parts agree with each other?",
        "Creativity": "is there something new in it?",
        "Richness": "is it full of detail and variety?",
        "Fairness and responsibility": "is its advice practicable, unbiased and harmless?",
    },
)
_BRIEF = Wording(
    point="Review the answer against the reference; end with {example}.\n",
    unreference_point="Say it without the reference.",
    compare="Compare two reviewed answers; end with {first}, {second} or {neither}.\n",
    unreference_pair="Say this comparison without the reference.\n",
    dimension="",
    critiqued="[Answer of Assistant {number}]\n{response}\n[Review of Assistant {number}]\n{critique}\n",
    comparison="\n[Comparison]\n{text}",
    meanings={},
)
WORDINGS: Mapping[str, Wording] = {"zh": _ZH, "en": _EN, "brief": _BRIEF}


@dataclass(frozen=True, slots=True)
class CritiqueTeaching:
    """The four prompts of a teacher.

    :param style: as ``prompt.style``
    :param default: answer type of task types the protocol does not know
    """

    style: str
    default: str

    def dimensions(self, category: str | None) -> tuple[str, ...]:
        """What an answer to this task type is judged by."""
        return dimensions(self.style, answer_type(category, self.default))

    def point(self, row: Response) -> tuple[Message, ...]:
        """Critique one answer against its reference."""
        labels, words = LABELS[self.style], WORDINGS[self.style]
        text = self._fill(words.point, row.subset)
        text += fill(labels.question, question=row.instruction)
        text += fill(labels.reference, reference=row.reference or "")
        return ({"role": "user", "content": text + fill(labels.answer, response=row.response)},)

    def unreference_point(self, row: Response, critique: str) -> tuple[Message, ...]:
        """Second turn after ``point``: the same critique without its reference."""
        again = self._fill(WORDINGS[self.style].unreference_point, row.subset)
        return (
            *self.point(row),
            {"role": "assistant", "content": critique},
            {"role": "user", "content": again},
        )

    def compare(self, pair: ResponsePair, critiques: tuple[str, str], *, referenced: bool) -> tuple[Message, ...]:
        """Compare response_a (Assistant 1) and response_b out of their critiques.

        :param referenced: show the reference, as the critiques mention it
        """
        labels, words = LABELS[self.style], WORDINGS[self.style]
        text = self._fill(words.compare, pair.subset) + fill(labels.question, question=pair.instruction)
        if referenced:
            text += fill(labels.reference, reference=pair.reference or "")
        for number, (response, critique) in enumerate(zip(_responses(pair), critiques, strict=True), start=1):
            text += fill(words.critiqued, number=str(number), response=response, critique=critique)
        return ({"role": "user", "content": text},)

    def unreference_pair(self, pair: ResponsePair, comparison: str) -> tuple[Message, ...]:
        """The same comparison without its reference, which the teacher is shown."""
        labels, words = LABELS[self.style], WORDINGS[self.style]
        text = self._fill(words.unreference_pair, pair.subset) + fill(labels.question, question=pair.instruction)
        text += fill(labels.reference, reference=pair.reference or "")
        text += fill(labels.answers, first=pair.response_a, second=pair.response_b)
        return ({"role": "user", "content": text + fill(words.comparison, text=comparison)},)

    def _fill(self, template: str, category: str | None) -> str:
        labels, words = LABELS[self.style], WORDINGS[self.style]
        kind = answer_type(category, self.default)
        names = dimensions(self.style, kind)
        listed = "".join(fill(words.dimension, name=name, meaning=words.meanings[name]) for name in names)
        scores = [f"'{name}': {9 - place}" for place, name in enumerate(names)] + [f"'{labels.overall}': 7"]
        first, second, neither = (f"{{'{labels.comparison}': '{verdict}'}}" for verdict in labels.verdicts)
        return fill(
            template, type=labels.types[kind][0], dimensions=listed, example="{" + ", ".join(scores) + "}",
            first=first, second=second, neither=neither,
        )  # fmt: skip


def _responses(pair: ResponsePair) -> tuple[str, str]:
    return pair.response_a, pair.response_b
