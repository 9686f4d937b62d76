"""The EvalPlanner protocol: how a judge is asked to plan and execute an evaluation, and how its reply is read.

Slots, tags and output format are those of arXiv 2501.18099 (figures 3 to 5); the wording is ours. The input of
training and of every test is the plain judge prompt; the *target* is plan, execution and verdict stitched together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from judgekit.prompts.base import PROMPTS, VERDICT, Ending, PromptConfig, Reading, fill, shown
from judgekit.prompts.replies import Decisions, Quotations, decide, decided
from judgekit.prompts.thoughts import split_thought
from judgekit.rows import Message, Order, ResponsePair
from judgekit.schema.fields import setting

PLAN_START = "[Start of Evaluation Plan]"
PLAN_END = "[End of Evaluation Plan]"
EXECUTION_START = "[Start of Plan Execution]"
EXECUTION_END = "[End of Plan Execution]"
FINAL_VERDICT = "[Final Verdict]"
VERDICT_TOKENS = ("[[A]]", "[[B]]")

SYSTEM = {
    "full": (
        "You are an impartial judge of answers that AI assistants gave to a user. You first plan how the answers to "
        "this particular question should be evaluated, then carry the plan out step by step, then decide. The order "
        "in which the answers are shown, their length and the assistants' names must not influence you."
    ),
    "brief": "You judge two answers.",
}

JUDGE = {
    "full": (
        "Decide which of the two assistants answered the user's question below better. Begin with an evaluation plan "
        f"between {PLAN_START} and {PLAN_END}: state what a good answer must do and how to check it. Then carry the "
        f"plan out between {EXECUTION_START} and {EXECUTION_END}: check each answer separately, first A and then B, "
        f"and only then compare them. Close with {FINAL_VERDICT} and your decision in exactly this form: [[A]] if "
        "assistant A is better, [[B]] if assistant B is better.\n\n"
    ),
    "brief": "",
}

ANSWERS = (
    "[User Question]\n{instruction}\n"
    "[The Start of Assistant A's Answer]\n{response_a}\n[The End of Assistant A's Answer]\n"
    "[The Start of Assistant B's Answer]\n{response_b}\n[The End of Assistant B's Answer]"
)

PLAN = {
    "full": (
        "Two assistants will answer the user's question below; you do not see their answers yet. Write the plan by "
        "which the answers should be evaluated. {shape} You may work out a reference answer where that helps. State "
        "the requirement that decides between a good and a bad answer, and say how each answer is to be checked "
        f"against it separately before the two are compared. Wrap the plan in {PLAN_START} and {PLAN_END}.\n\n"
        "[User Question]\n{instruction}"
    ),
    "brief": "Plan the evaluation. {shape}\n[User Question]\n{instruction}",
}

PLAN_SHAPE = {
    "unconstrained": "Choose whatever steps suit this question.",
    "criteria": "Write it as a list of criteria.",
    "questions": "Write it as a list of verification questions.",
}

EXECUTION = {
    "full": (
        "Decide which of the two assistants answered the user's question below better by following the evaluation "
        "plan. Go through its steps in order and apply them; do not copy the plan out. Check each answer separately, "
        "first A and then B, say what you find, and compare the two only after that. End with your decision in exactly "
        "this form: [[A]] if assistant A is better, [[B]] if assistant B is better.\n\n"
    ),
    "brief": "Follow the plan.\n",
}

EXECUTION_PLAN = "\n[The Start of Evaluation Plan]\n{plan}\n[The End of Evaluation Plan]"


@dataclass(frozen=True)
class EvalPlannerPrompt(PromptConfig):
    """``prompt=evalplanner``: plan, execute, decide."""

    name: Literal["evalplanner"] = setting("evalplanner", "protocol")
    style: Literal["full", "brief"] = setting("full", "wording; slots, tags and output format are the same")
    plan_style: Literal["unconstrained", "criteria", "questions"] = setting(
        "unconstrained", "what the plan prompt asks for (EvalPlanner §5, plan types)"
    )

    ending: ClassVar[Ending] = Ending(
        f"a plan, its execution and, after the last `{FINAL_VERDICT}`, `[[A]]` or `[[B]]` for the answer shown as A or "
        "B. A reply with neither or both there is invalid",
        FINAL_VERDICT,
        VERDICT,
    )


@PROMPTS.protocol(EvalPlannerPrompt)
@dataclass(frozen=True, slots=True)
class EvalPlanner:
    """Prompts and parser. Text is put into slots by concatenation: braces in it mean nothing."""

    config: EvalPlannerPrompt

    verdict_tokens: ClassVar[tuple[str, ...]] = VERDICT_TOKENS
    verdict_lead: ClassVar[str] = f"\n{FINAL_VERDICT}\n"
    verdict_stops: ClassVar[tuple[str, ...]] = (FINAL_VERDICT, *VERDICT_TOKENS)
    plan_stop: ClassVar[str] = PLAN_END

    def plan_prompt(self, instruction: str) -> tuple[Message, ...]:
        """Ask for a plan; it sees the instruction only (§3.1)."""
        shape = PLAN_SHAPE[self.config.plan_style]
        return self._messages(fill(PLAN[self.config.style], shape=shape, instruction=instruction))

    def judge_prompt(self, pair: ResponsePair, order: Order) -> tuple[Message, ...]:
        """The plain judge prompt: input of training and of evaluation."""
        return self._messages(JUDGE[self.config.style] + self._answers(pair, order))

    def execution_prompt(self, pair: ResponsePair, order: Order, plan: str) -> tuple[Message, ...]:
        """Ask for an execution of a given plan."""
        text = EXECUTION[self.config.style] + self._answers(pair, order) + fill(EXECUTION_PLAN, plan=plan)
        return self._messages(text)

    @property
    def plan_prefill(self) -> str:
        """How a reply to the plan prompt begins."""
        return f"{PLAN_START}\n"

    def execution_prefill(self, plan: str) -> str:
        """How a reply to the judge prompt begins when its plan is given."""
        return f"{PLAN_START}\n{plan}\n{PLAN_END}\n{EXECUTION_START}\n"

    def stitch(self, plan: str, execution: str, position: str) -> str:
        """The training target: plan, execution and verdict (§3.1).

        :param position: ``A`` when the answer shown first is better
        """
        return f"{self.execution_prefill(plan)}{execution.strip()}\n{EXECUTION_END}\n{FINAL_VERDICT}\n[[{position}]]"

    def bare_verdict(self, position: str) -> str:
        """The training target without plan and execution; ``position`` as in ``stitch``."""
        return f"{FINAL_VERDICT}\n[[{position}]]"

    def read(self, text: str, truncated: bool) -> Reading:
        """The verdict of an answer's final sections; of one without them, the decision after its execution.

        Two sections that differ are ambiguous, quotations of them included. Plan and execution decide nothing.

        :param truncated: the reply hit its token limit; it then decided nothing, because the verdict comes last
        """
        if truncated:
            return Reading(None, "truncated")
        reasoned, executed, closing = text.partition(EXECUTION_END)
        body = closing if executed and FINAL_VERDICT not in reasoned else text
        starts = [found.end() for found in re.finditer(re.escape(FINAL_VERDICT), body)]
        if not starts:
            return decide(body)
        ends = [start - len(FINAL_VERDICT) for start in starts[1:]] + [len(body)]
        sections = [Decisions(body[start:end]) for start, end in zip(starts, ends, strict=True)]
        if len({verdict for section in sections for verdict in section.mentioned}) > 1:
            return Reading(None, "ambiguous")
        quotations = Quotations(body)
        own = [
            section
            for start, section in zip(starts, sections, strict=True)
            if not quotations.hold(start - len(FINAL_VERDICT), start)
        ]
        return decided({verdict for section in own for verdict in section.decided})

    def split(self, text: str) -> tuple[str | None, str]:
        """Plan and execution inside a reply; the plan is None when its tags are missing.

        Replies to the execution prompt have no tags: the whole text, without a closing verdict, is the execution.
        """
        body, plan = split_thought(text).answer, None
        if PLAN_END in body:
            head, _, body = body.partition(PLAN_END)
            plan = head.rpartition(PLAN_START)[2].strip() or None
        body = body.partition(EXECUTION_START)[2] if EXECUTION_START in body else body
        execution = body.partition(EXECUTION_END)[0].partition(FINAL_VERDICT)[0]
        execution = execution.strip()
        return plan, execution[: -len("[[A]]")].rstrip() if execution.endswith(VERDICT_TOKENS) else execution

    def _messages(self, text: str) -> tuple[Message, ...]:
        return ({"role": "system", "content": SYSTEM[self.config.style]}, {"role": "user", "content": text})

    def _answers(self, pair: ResponsePair, order: Order) -> str:
        first, second = shown(pair, order)
        return fill(ANSWERS, instruction=pair.instruction, response_a=first, response_b=second)
