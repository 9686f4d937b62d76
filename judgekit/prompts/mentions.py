"""Mentions of the two assistants by number, exchanged where a judgment is shown with its answers in the other order."""

from __future__ import annotations

import re
from collections.abc import Mapping

OTHER: Mapping[str, str] = {"1": "2", "2": "1"}

_GAP = r"[ \t]*(?:#[ \t]*)?"
_END = r"(?![0-9A-Za-z_]|\.\d)"
# A comma joins numbers behind a plural alone: "For Assistant 1, 2 errors were found."
_JOIN = rf"(?:['’]s)?[ \t]*(?:(?i:and|or|versus|vs\.?)|[&/和与及或、]|(?(plural),|(?!))){_GAP}"
_MENTION = re.compile(
    rf"(?P<name>(?:(?<![0-9A-Za-z_])(?:(?i:assistant)|Answer|Response)(?P<plural>(?i:s))?|助手){_GAP})(?P<one>[12]){_END}"
    rf"(?:(?P<join>{_JOIN})(?P<two>[12]){_END}(?![个种条项点步次]|分(?!别)))?"
)


def swap_mentions(text: str) -> str:
    """The same text with Assistant 1 called Assistant 2, and the reverse. Done twice it changes nothing.

    "Assistant 1" in any case, "助手1", and "Answer 1" and "Response 1" with a capital alone, since "the correct answer
    2" is a result. Both numbers of "Assistants 1 and 2" and "助手1和2" are exchanged. Mentions in other words ("the
    first answer") stay as they are.
    """

    def exchanged(found: re.Match[str]) -> str:
        both = found["join"] + OTHER[found["two"]] if found["two"] else ""
        return found["name"] + OTHER[found["one"]] + both

    return _MENTION.sub(exchanged, text)
