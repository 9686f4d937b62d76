"""Which model answers under a name: what a server says with every reply, and what replies are then kept under."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judgekit.randomness import digest
from judgekit.sampling.base import ModelChanged
from judgekit.store import write_json_atomic

log = logging.getLogger(__name__)

Answering = tuple[str, str]
"""(model, fingerprint) as a reply names them; empty where it does not."""


def answering(answer: Mapping[str, Any]) -> Answering:
    """Who gave an answer."""
    return str(answer.get("model") or ""), str(answer.get("system_fingerprint") or "")


class Identity:
    """The model behind one name of one server, remembered in the store.

    Where fingerprints go to and fro in one session they tell machines apart and not models; from then on only the
    model's name counts.
    """

    def __init__(self, root: Path, base: str, name: str) -> None:
        """Read what answered last.

        :param root: of the store
        :param base: digest of what the server is asked for
        :param name: address and model, for people
        """
        self._file, self._base, self._name = root / "generations" / base[:16] / "answered.json", base, name
        self._seen: list[Answering] = []
        try:
            self._known: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}

    @property
    def digest(self) -> str:
        """What replies are kept under: as ever for who answered first, another for everybody else."""
        latest = self._counted(self._known.get("latest"))
        return self._base if latest == self._counted(self._known.get("first")) else digest([self._base, *latest], 32)

    def note(self, answer: Mapping[str, Any]) -> None:
        """Look who gave an answer.

        :raises ModelChanged: another than before this session; raised once
        """
        now = answering(answer)
        if self._seen and now == self._seen[-1]:
            return
        self._seen = [*self._seen[-2:], now]
        if len(self._seen) == 1:
            self._first(now)
        elif len(self._seen) == 2:
            log.warning(
                "%s: replies of this call come from %s and from %s.", self._name, _words(self._seen[0]), _words(now)
            )
        elif not self._known.get("varies"):
            self._keep(varies=True)

    def _first(self, now: Answering) -> None:
        if "first" not in self._known:
            self._keep(first=now, latest=now)
            return
        before, kept = self._known["latest"], self.digest
        if self._counted(before) == self._counted(now):
            return
        self._keep(latest=now)
        if self.digest != kept:
            message = (
                f"{self._name}: {_words(now)} answers now, formerly {_words(before)}. Its replies are kept apart, and "
                f"what the other one said is asked again."
            )
            log.warning("%s", message)
            raise ModelChanged(message, self.digest)

    def _counted(self, who: Any) -> list[str]:
        return list(who or ())[: 1 if self._known.get("varies") else 2]

    def _keep(self, **values: Any) -> None:
        self._known |= values
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomic(self._file, self._known)


def _words(who: Any) -> str:
    model, fingerprint = who
    return f"{model or 'a model without a name'} ({fingerprint})" if fingerprint else model or "a model without a name"
