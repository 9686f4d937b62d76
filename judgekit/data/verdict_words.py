"""The words in which people write a verdict or a label, in every file of one's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judgekit.data.records import Record
from judgekit.errors import DataError
from judgekit.rows import Verdict

NO_VERDICT = ("", "none", "null", "nan", "na", "n/a", "invalid", "error")
"""Words for none: an unlabelled pair, an invalid verdict."""
TIE: Verdict = "tie"
WORDS: Mapping[str, Verdict] = {
    "a": "A", "b": "B", "tie": TIE,
    "a>b": "A", "a>>b": "A", "b<a": "A", "b<<a": "A", "b>a": "B", "b>>a": "B", "a<b": "B", "a<<b": "B",
    "a=b": TIE, "b=a": TIE, "a==b": TIE,
    "model_a": "A", "model_b": "B", "response_a": "A", "response_b": "B", "answer_a": "A", "answer_b": "B",
    "assistant_a": "A", "assistant_b": "B",
    "tie_(bothbad)": TIE, "tie_(both_bad)": TIE, "bothbad": TIE, "both_bad": TIE,
}  # fmt: skip
"""Without regard to case, double brackets, and what stands between words."""
DIGITS: Mapping[str, Verdict] = {"0": TIE, "1": "A", "2": "B"}
_NUMBER = re.compile(r"([012])(\.0*)?")
USE = "use A, B, tie, A>B, model_a, 1 and 2 (0: tie), or nothing"


class VerdictWords:
    """Reads them, and knows which digits it met: without a 2, a 0 may be a tie or the first of two.

    The labels and the verdicts of one measurement are read by one object.
    """

    def __init__(self) -> None:
        self._digits: set[str] = set()

    def read(self, record: Record, field: str) -> Verdict | None:
        """The verdict a field holds, None where it holds none.

        :raises DataError: for anything else
        """
        value = record.value(field)
        if value is None:
            return None
        word = _plain(value)
        if digit := _NUMBER.fullmatch(word):
            self._digits.add(digit[1])
            return DIGITS[digit[1]]
        if word in NO_VERDICT:
            return None
        if word not in WORDS:
            raise record.error(field, f"holds {value!r}; {USE}")
        return WORDS[word]

    def check(self, file: str | Path, field: str) -> None:
        """Refuse digits of which nobody knows what they mean, when all have been read.

        :raises DataError: for 0 without 2
        """
        if "0" in self._digits and "2" not in self._digits:
            message = "holds 0 and never 2, so 0 may stand for a tie or for the first response; write A, B and tie"
            raise DataError(message, file=file, field=field)


def _plain(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return "?"
    text = re.sub(r"[\s_-]+", "_", str(value).strip().removeprefix("[[").removesuffix("]]").strip().lower())
    return re.sub(r"_?([<>=]+)_?", r"\1", text)
