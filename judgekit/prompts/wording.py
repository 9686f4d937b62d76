"""The sentences of a release's prompts. They are not shipped: a user reads them from the release's own file once.

``judgekit wording import NAME --from CLONE`` keeps them in the user's configuration folder, and released weights are
asked in them. They are known by a digest, so that ``wording: release`` in a key stands for one text.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from judgekit.errors import ConfigError, DataError, Problem
from judgekit.prompts.base import PromptConfig
from judgekit.registry import suggest
from judgekit.schema.fields import setting

VARIABLE = "JUDGEKIT_CONFIG"
Texts = Mapping[str, str]


def _judgelm(tree: ast.Module) -> dict[str, str]:
    """System sentence and request of the conversation for pairs; for N answers its places are filled as in the release.

    Its code replaces every ``two`` and the list of assistants.
    """
    call = _assigned(tree).get("conv_judge_pair")
    given = {one.arg: _text(one.value) for one in call.keywords} if isinstance(call, ast.Call) else {}
    request = (given.get("prompt") or "").replace("two", "{number}").replace("Assistant 1 and 2", "{assistants}")
    return {"opening": given.get("system") or "", "request": request}


def _pandalm(tree: ast.Module) -> dict[str, str]:
    """What stands before the instruction in the two prompts, which differ by the section of the input."""
    found = {}
    for node in ast.walk(tree):
        parts = [_text(part) or "" for part in node.values] if isinstance(node, ast.JoinedStr) else []
        sentence, sections, _ = "".join(parts).partition("\n\n### Instruction:\n")
        if sections:
            found["task_input" if any("### Input:" in part for part in parts) else "task"] = sentence
    return found


def _autoj(tree: ast.Module) -> dict[str, str]:
    """The templates of both protocols."""
    texts = _assigned(tree)
    return {"pair": _text(texts.get("pairwise_tie")) or "", "single": _text(texts.get("single")) or ""}


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """Values by name, of the module's assignments."""
    nodes = [node for node in tree.body if isinstance(node, ast.Assign)]
    return {target.id: node.value for node in nodes for target in node.targets if isinstance(target, ast.Name)}


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@dataclass(frozen=True, slots=True)
class Release:
    """Where a release keeps its sentences.

    :param repository: on GitHub
    :param file: the file in it
    :param sha256: of the texts, as ``digest_of`` computes it
    :param read: finds them in the parsed file; the file is not run
    :param weights: its judges on the hub
    """

    repository: str
    file: str
    sha256: str
    read: Callable[[ast.Module], Texts]
    weights: tuple[str, ...]


RELEASES: Mapping[str, Release] = {
    "autoj": Release(
        "GAIR-NLP/auto-j", "codes/usage/constants_prompt.py",
        "a4b77f045d529934a00e28470974ef881ad51630c94c0382f922da6d32dc9e7a", _autoj, ("GAIR/autoj-13b",),
    ),
    "judgelm": Release(
        "baaivision/JudgeLM", "judgelm/llm_judge/common.py",
        "386a31b4b3f2a059f31fe365ee53df6336d2256f3b916315dae14a22a1b89fbe", _judgelm,
        ("BAAI/JudgeLM-7B-v1.0", "BAAI/JudgeLM-13B-v1.0", "BAAI/JudgeLM-33B-v1.0"),
    ),
    "pandalm": Release(
        "WeOpenML/PandaLM", "pandalm/utils/pandalm_inference.py",
        "632f8d84307e5dbc655330484c008a99ac32c78b3a2b7cf2bf6b0ad12a548028", _pandalm, ("WeOpenML/PandaLM-7B-v1",),
    ),
}  # fmt: skip


def digest_of(texts: Texts) -> str:
    """SHA-256 (hex) over the texts as JSON, sorted by name."""
    return hashlib.sha256(json.dumps(dict(texts), sort_keys=True).encode()).hexdigest()


def wording_file(name: str) -> Path:
    """Where a release's sentences are kept: below ``$JUDGEKIT_CONFIG``, by default ``~/.config/judgekit``."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(os.environ.get(VARIABLE) or Path(base) / "judgekit") / "wording" / f"{name}.json"


def import_wording(name: str, source: Path) -> Path:
    """Read a release's sentences and keep them.

    :param source: a clone of its repository, or the file alone
    :return: where they are kept
    :raises ConfigError: no such release
    :raises DataError: the file is not there, or its sentences are not those that are known
    """
    if name not in RELEASES:
        raise ConfigError([Problem(name, "no release of this name has sentences to import", suggest(name, RELEASES))])
    release = RELEASES[name]
    file = source if source.is_file() else source / release.file
    if not file.is_file():
        message = f"is not there; give a clone of github.com/{release.repository}, or its file {release.file}"
        raise DataError(message, file=file)
    try:
        texts = dict(release.read(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError) as error:
        raise DataError(f"is not Python: {error}", file=file) from error
    if (found := digest_of(texts)) != release.sha256:
        message = f"its sentences have SHA-256 {found[:12]}, those known of {release.repository} {release.sha256[:12]}"
        raise DataError(f"{message}; take the file as released, or give its sentences as prompt fields", file=file)
    kept = wording_file(name)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(texts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return kept


@functools.cache
def _read(file: Path, sha256: str) -> Texts:
    try:
        texts: Texts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        texts = {}
    if digest_of(texts) != sha256:
        raise LookupError(file)
    return texts


@dataclass(frozen=True)
class WordedPrompt(PromptConfig):
    """A protocol whose release has sentences of its own.

    :cvar release: its name among ``RELEASES``
    :cvar sentences: names of the texts by the field that, when given, takes their place
    """

    release: ClassVar[str]
    sentences: ClassVar[Mapping[str, str]]
    wording: Literal["own", "release"] | None = setting(
        None,
        "sentences of the prompt. own: ours; release: those that weights were released with (judgekit wording import); "
        "null: release for released weights, otherwise own",
        off=None,
    )

    def sentence(self, field: str, ours: str) -> str:
        """The text that is shown.

        :raises ConfigError: that of the release is wanted, and has not been imported
        """
        if (given := getattr(self, field)) is not None:
            return str(given)
        return self._released()[self.sentences[field]] if self.wording == "release" else ours

    def problems(self) -> list[Problem]:
        """Sentences that are wanted and not there."""
        missing = [field for field in self.sentences if getattr(self, field) is None]
        try:
            if self.wording == "release" and missing:
                self._released()
        except ConfigError as error:
            return [*super().problems(), *error.problems]
        return super().problems()

    def _released(self) -> Texts:
        release, file = RELEASES[self.release], wording_file(self.release)
        try:
            return _read(file, release.sha256)
        except LookupError:
            message = f"the sentences these weights were trained with are not in {file}"
            hint = (
                f"Run `judgekit wording import {self.release} --from CLONE` with a clone of "
                f"github.com/{release.repository}, or set it to own: then they answer a prompt they do not know"
            )
            raise ConfigError([Problem("wording", message, hint)]) from None


def for_weights(prompt: PromptConfig, hub_id: str | None) -> PromptConfig:
    """A protocol as weights of the hub are asked: released ones in their release's words, unless it says which."""
    if isinstance(prompt, WordedPrompt) and prompt.wording is None and hub_id in RELEASES[prompt.release].weights:
        return replace(prompt, wording="release")
    return prompt
