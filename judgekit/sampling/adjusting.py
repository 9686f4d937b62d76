"""Requests as a server takes them: parameters it does not know and values it refuses, learnt from its rejections."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from judgekit.sampling.server import Rejected

log = logging.getLogger(__name__)

LEAST_TEMPERATURE = 0.01
"""In place of 0 where a server wants more than that."""
FOLDED = "system text in the user's message"
_DISPENSABLE = ("temperature", "top_p", "stop", "seed")
_SAYS_NO = re.compile(
    r"unsupported|(?:not|n't) (?:be )?(?:support|permit|allow|accept|enable|available|set|specif)"
    r"|un(?:recogni[sz]ed|known)|unexpected|extra (?:inputs|fields)|deprecated|only (?:the default|one)"
    r"|cannot (?:both )?be|simultaneous|invalid|(?:must|should|has to) be|out of range|too (?:long|many)|maximum"
    r"|strictly|must alternate",
    re.IGNORECASE,
)
_BOTH = re.compile(r"\bboth\b|only one|simultaneous|at the same time", re.IGNORECASE)
_POSITIVE = re.compile(r"positive|(?:greater|larger|more) than (?:0|zero)\b|> ?0(?:\.0*)?\b", re.IGNORECASE)
_SYSTEM = re.compile(
    r"\bsystem['\"`]? (?:role|message|prompt|instruction)|role\b.{0,60}\bsystem\b|developer instruction"
    r"|roles must alternate",
    re.IGNORECASE,
)
_NAMED = {name: re.compile(rf"\b{name}\b") for name in _DISPENSABLE} | {
    "stop": re.compile(r"['\"`]stop['\"`]|\bstop (?:sequence|parameter|word)|(?:parameter|argument|field)s?:? stop\b")
}


class Adjustments:
    """What one server wants otherwise than the API has it."""

    def __init__(self, url: str) -> None:
        """Begin with none."""
        self._url = url
        self._left_out: set[str] = set()
        self._values: dict[tuple[str, float], float] = {}
        self._folds = self._renames = False

    def apply(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The request as this server takes it, and what is changed in it, in words."""
        adjusted = {name: value for name, value in body.items() if name not in self._left_out}
        told = [f"without {name}" for name in body if name in self._left_out]
        for (name, value), other in self._values.items():
            if adjusted.get(name) == value:
                adjusted[name] = other
                told.append(f"{name} {other:g} for {value:g}")
        if self._renames and "max_tokens" in adjusted:
            adjusted["max_completion_tokens"] = adjusted.pop("max_tokens")
        if self._folds and _has_system(body):
            adjusted["messages"] = _folded(body["messages"])
            told.append(FOLDED)
        return adjusted, told

    def learn(self, rejection: Rejected, body: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
        """Whether the request may be taken now, as it is adjusted after this rejection.

        :param body: before it was adjusted
        :param sent: as it was rejected
        """
        if self.apply(body)[0] != sent:  # another request has learnt it meanwhile
            return True
        words = f"{rejection} {rejection.code}"
        if rejection.status not in (400, 404, 422) or not _SAYS_NO.search(words) and "max_completion" not in words:
            return False
        if "max_tokens" in sent and "max_completion_tokens" in words:
            # Some models know only this newer name, which many servers do not know and would ignore.
            self._renames = True
        elif (name := _at_fault(rejection, words, sent)) is not None:
            self._change(name, sent[name], words)
        elif _has_system(sent) and _SYSTEM.search(f"{words} {rejection.field}"):
            self._folds = True
            self._say(FOLDED, "The server takes no system role")
        else:
            return False
        return self.apply(body)[0] != sent

    def _change(self, name: str, value: Any, words: str) -> None:
        other = None
        if name == "temperature":
            other = LEAST_TEMPERATURE if value == 0 and _POSITIVE.search(words) else 1.0 if value > 1 else None
        if other is not None:
            self._values[name, value] = other
            self._say(f"{name} {other:g} for {value:g}", f"The server does not take {name} {value:g}")
            return
        self._left_out.add(name)
        effect = {
            "temperature": ", so that it samples at a temperature of its own, greedy judgments too",
            "seed": ", so that samples cannot be repeated",
            "stop": "; replies are cut there after they have come",
        }
        self._say(f"without {name}", f"The server does not take {name}{effect.get(name, '')}")

    def _say(self, told: str, why: str) -> None:
        log.warning("%s: %s. Asked from now on: %s.", self._url, why, told)


def _at_fault(rejection: Rejected, words: str, sent: Mapping[str, Any]) -> str | None:
    """The parameter that a rejection is about and that a request can do without."""
    if rejection.field in sent and rejection.field in _DISPENSABLE:
        named = {rejection.field: 0}
    else:
        found = {name: pattern.search(words) for name, pattern in _NAMED.items() if name in sent}
        named = {name: match.start() for name, match in found.items() if match}
    if _BOTH.search(words) and "top_p" in words and "temperature" in words and "top_p" in sent:
        return "top_p"
    return min(named, key=named.__getitem__, default=None)


def _has_system(body: Mapping[str, Any]) -> bool:
    return any(turn["role"] == "system" for turn in body["messages"])


def _folded(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The messages with the system text at the head of the first user's."""
    system = [turn["content"] for turn in messages if turn["role"] == "system"]
    others = [dict(turn) for turn in messages if turn["role"] != "system"]
    for turn in others:
        if turn["role"] == "user":
            turn["content"] = "\n\n".join([*system, turn["content"]])
            return others
    return [{"role": "user", "content": "\n\n".join(system)}, *others]
