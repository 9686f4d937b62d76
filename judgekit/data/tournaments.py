"""Outside data of a tournament: models' responses to the same prompts, and recorded outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from judgekit.data.records import Record
from judgekit.data.tables import read_table
from judgekit.errors import DataError
from judgekit.randomness import digest, pick
from judgekit.rows import VERDICTS, ResponsePair, Verdict
from judgekit.stats.ranking import Battle

OUTCOMES: dict[str, Verdict] = {"A": "A", "B": "B", "tie": "tie"}


def read_prompts(path: Path) -> list[str]:
    """The instructions of a file with the column ``instruction``, each once, in order.

    :raises DataError: naming file, line and field
    """
    rows = (Record(path, line, values, remedy="Rename the column") for line, values in read_table(path))
    return list(dict.fromkeys(record.asked("instruction") for record in rows))


def read_responses(path: Path) -> dict[str, tuple[str, str | None]]:
    """(response, reference) by instruction, from the columns ``instruction``, ``response`` and ``reference``.

    :raises DataError: naming file, line and field; also for a prompt that is answered twice
    """
    found: dict[str, tuple[str, str | None]] = {}
    for line, values in read_table(path):
        record = Record(path, line, values, remedy="Rename the column")
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


def read_outcomes(path: Path) -> list[Battle]:
    """Recorded outcomes: ``model_a``, ``model_b``, ``verdict`` (A, B, tie or null), optional ``group`` and ``invalid``.

    Without a group, every row is a prompt of its own.

    :raises DataError: naming file, line and field
    """
    found = []
    for line, values in read_table(path):
        record = Record(path, line, values, remedy="Rename the column, or give the verdicts' pairs with --pairs")
        a, b, verdict = record.name("model_a"), record.name("model_b"), record.value("verdict")
        if a == b:
            raise record.error("model_b", f"'{b}' meets itself; remove the row")
        if verdict is not None and verdict not in VERDICTS:
            raise record.error("verdict", f"holds {verdict!r}; use 'A', 'B', 'tie' or null")
        group = record.name("group") if values.get("group") is not None else f"row {line}"
        reason = (record.maybe("invalid") or "unstated").partition(": ")[0] if verdict is None else None
        found.append(Battle(a, b, OUTCOMES.get(verdict), group, reason))
    if not found:
        raise DataError("holds no outcome", file=path)
    return found
