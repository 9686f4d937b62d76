"""Response pairs of which it is known, by construction, which response is better.

Three ways (EvalPlanner §3; Self-Taught Evaluators §3): a noisy instruction (the rejected response answers something
else), verified problems (right against wrong by a checker) and format constraints (likewise, or written by program).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from judgekit.data.constraints import SOURCE as CONSTRAINTS
from judgekit.data.constraints import satisfies, written_responses
from judgekit.prompts import noisy
from judgekit.randomness import pick
from judgekit.rows import Instruction, Message, ResponsePair
from judgekit.sampling.base import Generation
from judgekit.schema.data import DataConfig, SourceConfig

Drop = Callable[[str], None]

CUT = "length"
"""How a reply ended that was cut at its limit."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked while pairs are made: ``samples`` replies to a prompt."""

    id: str
    prompt: tuple[Message, ...]
    samples: int = 1
    tokens: int | None = None


Replies = Mapping[tuple[str, int], Generation]

Ask = Callable[[Sequence[Question]], Replies]
"""Questions -> reply by (question id, sample). A question that cannot be asked (too long) has no reply.

A reply that was cut at its limit makes no response: how a text ends would tell which of two is better.
"""

Verify = Callable[[Sequence[tuple[Instruction, str]]], Sequence[bool | None]]
"""(instruction, response) pairs -> right, wrong, or None where it could not be verified."""


def build_pairs(
    instructions: Sequence[Instruction],
    source: SourceConfig,
    data: DataConfig,
    *,
    seed: int,
    ask: Ask,
    verify: Verify,
    drop: Drop,
    max_chars: int | None = None,
) -> list[ResponsePair]:
    """One pair for each instruction that allows it, in the order of the instructions.

    :param drop: called with the reason for every instruction that gives no pair
    :param max_chars: drop pairs with a longer response, characters
    """
    if source.pairs == "written":
        candidates = [(row, *written_responses(row, seed)) for row in instructions]
    elif source.pairs == "near_miss":
        candidates = _near_miss(instructions, ask, drop)
    elif source.pairs == "noisy_instruction":
        candidates = _noisy_instruction(instructions, data, ask, drop)
    else:
        candidates = _verified(instructions, data, seed, ask, verify, drop)
    pairs = []
    for row, better, worse in candidates:
        reason = _unusable(better, worse, max_chars)
        if reason is not None:
            drop(reason)
            continue
        pairs.append(_pair(row, better, worse, seed))
    return pairs


def without_responses(instructions: Sequence[Instruction]) -> list[ResponsePair]:
    """Instructions as pairs that have no responses yet, for recipes whose candidates write them."""
    return [
        ResponsePair(
            row.id, row.text, "", "", None, reference=_reference(row), subset=row.source, group=row.id,
            input=row.extra.get("input"),
        )
        for row in instructions
    ]  # fmt: skip


def _unusable(better: str, worse: str, max_chars: int | None) -> str | None:
    """Why a pair cannot be used, None when it can."""
    if not better.strip() or not worse.strip():
        return "empty response"
    if better.strip() == worse.strip():
        return "identical responses"
    if max_chars is not None and max(len(better), len(worse)) > max_chars:
        return "response over bias.max_response_chars"
    return None


def _pair(row: Instruction, better: str, worse: str, seed: int) -> ResponsePair:
    """Which response is called A is drawn by id, so that labels are balanced and positions carry no signal."""
    first = pick((True, False), seed, row.id, "label")
    return ResponsePair(
        id=row.id,
        instruction=row.text,
        response_a=better if first else worse,
        response_b=worse if first else better,
        label="A" if first else "B",
        reference=_reference(row),
        subset=row.source,
        group=row.id,
    )


def _reference(row: Instruction) -> str | None:
    """The ground truth; what the checker of a format reads is no answer."""
    return row.answer if row.source != CONSTRAINTS else None


Candidate = tuple[Instruction, str, str]


def _near_miss(instructions: Sequence[Instruction], ask: Ask, drop: Drop) -> list[Candidate]:
    """The rejected response answers the near miss that comes with the instruction."""
    usable = []
    for row in instructions:
        if row.near_miss is None:
            drop("no near miss given")
        else:
            usable.append(row)
    questions = [Question(f"{row.id}/x", noisy.answer_prompt(row.text)) for row in usable]
    questions += [Question(f"{row.id}/noisy", noisy.answer_prompt(row.near_miss or "")) for row in usable]
    replies = ask(questions)
    return _both(usable, replies, {key: reply.text for key, reply in replies.items() if reply.finish != CUT}, drop)


def _noisy_instruction(instructions: Sequence[Instruction], data: DataConfig, ask: Ask, drop: Drop) -> list[Candidate]:
    """The rejected response answers a modified instruction that the model writes itself."""
    answers = ask([Question(f"{row.id}/x", noisy.answer_prompt(row.text)) for row in instructions])
    texts = {key: reply.text for key, reply in answers.items() if reply.finish != CUT}
    answered = [row for row in instructions if (f"{row.id}/x", 0) in texts]
    modified = ask(
        [
            Question(
                f"{row.id}/modified",
                noisy.modify_prompt(row.text, texts[f"{row.id}/x", 0]),
                tokens=2 * data.response_tokens,
            )
            for row in answered
        ]
    )
    longer: set[str] = set()
    for row in answered:
        reply = modified.get((f"{row.id}/modified", 0))
        written = noisy.read_modified(reply.text) if reply is not None else None
        if reply is None or written is None:
            continue
        # Its limit is that of the other answer, which length would tell from it otherwise.
        if reply.tokens * len(written.answer) > data.response_tokens * len(reply.text):
            longer.add(row.id)
            drop("answer to a modified instruction over data.response_tokens")
        else:
            texts[f"{row.id}/noisy", 0] = written.answer
    return _both([row for row in instructions if row.id not in longer], answers, texts, drop)


def _both(
    instructions: Sequence[Instruction], replies: Replies, texts: Mapping[tuple[str, int], str], drop: Drop
) -> list[Candidate]:
    """The answer to the instruction and the one to another, where both are whole."""
    candidates = []
    for row in instructions:
        names = (f"{row.id}/x", 0), (f"{row.id}/noisy", 0)
        better, worse = (texts.get(name) for name in names)
        if any(name in replies and replies[name].finish == CUT for name in names):
            drop("answer cut at data.response_tokens")
        elif better is None:
            drop("no answer to the instruction")
        elif worse is None:
            drop("no answer to a modified instruction")
        else:
            candidates.append((row, better, worse))
    return candidates


def _verified(
    instructions: Sequence[Instruction], data: DataConfig, seed: int, ask: Ask, verify: Verify, drop: Drop
) -> list[Candidate]:
    """Sample k solutions; a right one is chosen, a wrong one rejected, each drawn by the instruction's id."""
    checkable = []
    for row in instructions:
        if row.checker is None:
            drop("no checker")
        else:
            checkable.append(row)
    replies = ask([Question(row.id, noisy.answer_prompt(row.text), samples=data.solutions) for row in checkable])
    samples = [
        (row, replies[row.id, index].text)
        for row in checkable
        for index in range(data.solutions)
        if (row.id, index) in replies and replies[row.id, index].finish != CUT
    ]
    formats = [place for place, (row, _) in enumerate(samples) if row.source == CONSTRAINTS]
    others = [place for place, (row, _) in enumerate(samples) if row.source != CONSTRAINTS]
    results: dict[int, bool | None] = {place: satisfies(*samples[place]) for place in formats}
    results |= dict(zip(others, verify([samples[place] for place in others]), strict=True))
    right: dict[str, list[str]] = {}
    wrong: dict[str, list[str]] = {}
    for place, (row, text) in enumerate(samples):
        if results[place] is not None:
            (right if results[place] else wrong).setdefault(row.id, []).append(text)
    candidates = []
    for row in checkable:
        if row.id not in right:
            drop("no right solution" if row.id in wrong else "no solution could be verified")
        elif row.id not in wrong:
            drop("no wrong solution")
        else:
            candidates.append(
                (row, pick(right[row.id], seed, row.id, "right"), pick(wrong[row.id], seed, row.id, "wrong"))
            )
    return candidates
