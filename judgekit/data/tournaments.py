"""Outside data of a tournament: models' responses to the same prompts, and recorded outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from judgekit.data.conversations import SHAPES
from judgekit.data.records import RENAME, Record
from judgekit.data.sources import renamed
from judgekit.data.tables import read_table
from judgekit.data.verdict_words import VerdictWords
from judgekit.errors import DataError
from judgekit.randomness import digest, pick
from judgekit.rows import ResponsePair
from judgekit.stats.ranking import Battle

RESPONSE_FIELDS = ("instruction", "response", "reference")
OUTCOME_FIELDS = ("model_a", "model_b", "verdict", "group", "invalid")
Columns = Mapping[str, str] | None
"""{our field: their column} where names differ."""


def read_prompts(path: Path, columns: Columns = None) -> list[str]:
    """The instructions of a file with the column ``instruction``, each once, in order.

    :raises DataError: naming file, line and field
    """
    rows = read_table(path, [*renamed(columns, RESPONSE_FIELDS), *SHAPES])
    records = (Record.own(path, line, values, columns) for line, values in rows)
    return list(dict.fromkeys(record.asked("instruction") for record in records))


def read_responses(path: Path, columns: Columns = None) -> dict[str, tuple[str, str | None]]:
    """(response, reference) by instruction, from the columns ``instruction``, ``response`` and ``reference``.

    :raises DataError: naming file, line and field; also for a prompt that is answered twice
    """
    found: dict[str, tuple[str, str | None]] = {}
    for line, values in read_table(path, [*renamed(columns, RESPONSE_FIELDS), *SHAPES]):
        record = Record.own(path, line, values, columns)
        instruction = record.asked("instruction")
        if instruction in found:
            raise record.error("instruction", "is answered twice; leave one response to each prompt")
        found[instruction] = (record.text("response"), record.maybe("reference"))
    return found


def tournament_pairs(
    responses: Mapping[str, Mapping[str, tuple[str, str | None]]], seed: int = 0
) -> list[ResponsePair]:
    """Every two models' responses to every prompt that both answered, in the order of the first model's prompts.

    Which of two is called A is drawn by prompt and names, so that no model always is.

    :param responses: (response, reference) by model and prompt
    """
    prompts = dict.fromkeys(prompt for answered in responses.values() for prompt in answered)
    made = []
    for prompt in prompts:
        key = digest(prompt)
        for one, other in combinations(responses, 2):
            if prompt not in responses[one] or prompt not in responses[other]:
                continue
            a, b = (one, other) if pick((True, False), seed, key, one, other) else (other, one)
            reference = responses[one][prompt][1] or responses[other][prompt][1]
            made.append(
                ResponsePair(
                    f"{key}#{one}-{other}", prompt, responses[a][prompt][0], responses[b][prompt][0], None,
                    reference=reference, group=key, model_a=a, model_b=b,
                )
            )  # fmt: skip
    return made


def answered_once(responses: Mapping[str, Mapping[str, object]]) -> int:
    """Prompts that only one model answered, by model and prompt; they make no pair."""
    return sum(
        times == 1 for times in Counter(prompt for answered in responses.values() for prompt in answered).values()
    )


def read_outcomes(path: Path, columns: Columns = None) -> list[Battle]:
    """Recorded outcomes: ``model_a``, ``model_b``, ``verdict`` (``verdict_words``), optional ``group``, ``invalid``.

    Without a group, every row is a prompt of its own.

    :raises DataError: naming file, line and field
    """
    found, words = [], VerdictWords()
    for line, values in read_table(path, renamed(columns, OUTCOME_FIELDS)):
        record = Record(path, line, values, columns or {}, f"{RENAME}, or give the verdicts' pairs with --pairs")
        a, b, verdict = record.name("model_a"), record.name("model_b"), words.read(record, "verdict")
        if a == b:
            raise record.error("model_b", f"'{b}' meets itself; remove the row")
        group = record.maybe_name("group") or f"row {line}"
        reason = (record.maybe("invalid") or "unstated").partition(": ")[0] if verdict is None else None
        found.append(Battle(a, b, verdict, group, reason))
    words.check(path, "verdict")
    if not found:
        raise DataError("holds no outcome", file=path)
    return found
