"""What is wrong with a single command-line override, before anything is composed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException

from judgekit.errors import ConfigError, Problem
from judgekit.registry import suggest


def parse_override(text: str, loader: ConfigLoader) -> tuple[Override | None, Problem | None]:
    """Read one override in Hydra's grammar: the override, or why it cannot be read."""
    try:
        return OverridesParser.create(config_loader=loader).parse_overrides([text])[0], None
    except HydraException:
        key, equals, value = text.partition("=")
        if not equals:
            return None, Problem(text, "not an override", "Write KEY=VALUE")
        hint = f"Quote a value with special characters: {key}=\"'{value}'\""
        return None, Problem(text, "cannot be read as KEY=VALUE", hint)


def check_override(
    override: Override, loader: ConfigLoader, base: Callable[[], Mapping[str, Any]], multirun: bool
) -> Problem | None:
    """Why an override cannot be applied, None when it can (its value is checked after composing).

    :param base: gives the configuration before single values are overridden
    :param multirun: sweeps are allowed
    """
    source = f"override {override.input_line}"
    key = override.key_or_group
    if key.startswith("hydra/"):
        return _choice(override, loader, source)
    if override.is_hydra_override() or override.package is not None:
        return None
    if override.is_sweep_override() and not multirun:
        hint = f"Add -m to run a grid, or quote one value: {key}=\"'…'\", or a list: {key}=[…]"
        return Problem(key, "several values", hint, source)
    groups = loader.list_groups("")
    if key in groups:
        if override.is_add() and key in base():
            # Hydra sees it only where the chosen file has no defaults of its own.
            return Problem(key, "is chosen already", f"Leave out the +: {key}=…", source)
        return _choice(override, loader, source)
    if override.type is not OverrideType.CHANGE:
        return None
    return _existing(key, base(), groups, source)


def _choice(override: Override, loader: ConfigLoader, source: str) -> Problem | None:
    group = override.key_or_group
    options = group_options(loader, group)
    if override.is_delete() or override.package is not None or not options:
        return None
    for name in _chosen(override):
        if name is not None and name not in options:
            return Problem(group, f"'{name}' is not one of its choices", suggest(str(name), options), source)
    return None


def _chosen(override: Override) -> list[Any]:
    if override.is_sweep_override():
        if not override.is_discrete_sweep():
            return []
        values: list[Any] = [Override._convert_value(value) for value in override.sweep_iterator()]
    else:
        values = [override.value()]
    return [name for value in values for name in (value if isinstance(value, list) else [value])]


_MOVED = {
    "sampler.verdict": "judge.verdict", "sampler.judge_tokens": "judge.tokens", "sampler.beams": "judge.beams",
    "sampler.repetition_penalty": "judge.repetition_penalty", "bias.strip_thoughts": "judge.strip_thoughts",
}  # fmt: skip
"""In an evaluation the sampler's values only stand in where the judge brings none."""


def judge_overrides(texts: Sequence[str], loader: ConfigLoader) -> list[str]:
    """Overrides of ``judgekit eval`` as Hydra understands them: ``judge=`` also takes folders and models.

    Where a judge of the configuration is asked with its own protocol, ``prompt.FIELD=`` means that one.

    :raises ConfigError: kinds of judges that cannot be swept in one override
    """
    found = [_judge_override(text, loader) for text in texts]
    chosen = {text.partition("=")[0] for text in found}
    if "judge" not in chosen or "prompt" in chosen:
        return found
    return [f"judge.{text}" if text.startswith("prompt.") else text for text in found]


def _judge_override(text: str, loader: ConfigLoader) -> str:
    """One of them.

    :raises ConfigError: kinds of judges that cannot be swept in one override
    """
    key, equals, value = text.partition("=")
    if equals and key in _MOVED:
        return f"{_MOVED[key]}={value}"
    override, _ = parse_override(text, loader) if equals and key == "judge" else (None, None)
    if override is None:
        return text
    groups = {"judge": group_options(loader, "judge"), "model@judge.model": group_options(loader, "model")}
    keys = {_judge_key(name, groups) for name in _chosen(override) if isinstance(name, str)}
    if len(keys) > 1:
        hint = "Sweep over names under conf/judge, over models, over folders or over models of the hub"
        raise ConfigError([Problem("judge", "judges of several kinds in one override", hint, f"override {text}")])
    return f"{keys.pop()}={value}" if keys else text


def _judge_key(name: str, groups: Mapping[str, list[str]]) -> str:
    """What a judge's name overrides: a group, a model of the hub, otherwise a folder."""
    known = next((key for key, options in groups.items() if name in options), None)
    return known or ("judge.hub" if re.fullmatch(r"[^@/]+/[^@/]+@[0-9a-f]+", name) else "judge.path")


def group_options(loader: ConfigLoader, group: str) -> list[str]:
    """All choices of a group, those in subfolders as ``folder/name``."""
    inner = [f"{sub}/{name}" for sub in loader.list_groups(group) for name in group_options(loader, f"{group}/{sub}")]
    return [*loader.get_group_options(group, ObjectType.CONFIG), *inner]


FREE = "model.template"
"""Section whose names are not judgekit's: overrides need no ``+``."""


def _existing(key: str, base: Mapping[str, Any], groups: list[str], source: str) -> Problem | None:
    """A plain override changes a value that exists; ``+`` adds one."""
    if key.rpartition(".")[0].endswith(FREE):
        return None  # the names are the template's own
    node: Any = base
    walked = ""
    for part in key.split("."):
        if isinstance(node, list | tuple):
            if not part.lstrip("-").isdigit() or int(part) >= len(node):
                return Problem(key, f"a list of {len(node)} values has no item '{part}'", None, source)
            node = node[int(part)]
        elif isinstance(node, Mapping):
            if part not in node:
                valid = set(node) if walked else {*node, *groups} - {"hydra"}
                return Problem(key, "unknown key", suggest(part, valid, walked), source)
            node = node[part]
        elif node is None:
            group = walked.rstrip(".")
            return Problem(key, "unknown key", f"Choose one with {group}=NAME", source) if group in groups else None
        else:
            return Problem(key, f"'{walked.rstrip('.')}' is a single value without keys", None, source)
        walked += f"{part}."
    return None
