"""``judgekit explain``: what a field of the configuration means, what it may hold, its value here and who set it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from judgekit.errors import ConfigError, Problem
from judgekit.registry import suggest
from judgekit.schema.composition import Composer
from judgekit.schema.config import RunConfig
from judgekit.schema.evaluation import EvalConfig
from judgekit.schema.keys import Key, keys_of, unknown_key
from judgekit.schema.launchers import LAUNCHERS
from judgekit.schema.origins import Origins
from judgekit.schema.overrides import judge_overrides

Readers = Callable[[RunConfig, str], Sequence[str]]
"""Names of the stages that read a field of a run, by its key."""

_SECTION = re.compile(r"§[\w.]+|Table \d+|eq\. \d+|Appendix \w+")
_PAPER = re.compile(r"\(([^()]*arXiv [\d.]+)\)")
_LAUNCHER = "hydra/launcher"


def explain(items: Sequence[str], console: Console, extra: Path | None = None, readers: Readers | None = None) -> None:
    """Print what keys mean, or all fields of chosen groups.

    :param items: keys such as ``recipe.plans``, and overrides; without a key, what the overrides choose or set
    :param extra: a folder of config groups searched first
    :param readers: tells which stages read a field
    :raises ConfigError: for a key there is not, with the nearest one, and for wrong overrides
    """
    given = [item for item in items if "=" in item]
    wanted = [item for item in items if "=" not in item] or list(dict.fromkeys(_key_of(item) for item in given))
    if wanted == [_LAUNCHER]:
        console.print(_launcher_table([item.partition("=")[2] for item in given if _key_of(item) == _LAUNCHER]))
        return
    composer = _composer([*wanted, *map(_key_of, given)], extra)
    config, origins = composer.values(judge_overrides(given, composer.loader))
    keys = keys_of(config)
    overlays = set(composer.loader.list_groups("")) - {key.path for key in keys.values()} - {"hydra"}
    problems = [unknown_key(name, keys) for name in wanted if name not in keys and name not in overlays]
    if problems:
        raise ConfigError(problems)
    for name in wanted:
        if name in overlays:
            laid = [key for key in keys.values() if not key.is_section and _written(key.path, f"/{name}/", origins)]
            console.print(fields_table(next((item for item in given if _key_of(item) == name), name), laid, ""))
        elif keys[name].is_section:
            below = [key for key in keys.values() if key.path.startswith(f"{name}.")]
            console.print(fields_table(_title(keys[name]), below, f"{name}."))
        else:
            stages = readers(config, name) if readers is not None and isinstance(config, RunConfig) else ()
            _print_key(console, keys[name], origins.value(name), stages)


def _key_of(override: str) -> str:
    """The key an override sets: ``model@judge.model=NAME`` sets ``judge.model``."""
    return override.partition("=")[0].lstrip("+~").rpartition("@")[2]


def _composer(names: Iterable[str], extra: Path | None) -> Composer:
    """Of evaluations where a name is none of a run's."""
    runs, evaluations = ({field.name for field in fields(kind)} for kind in (RunConfig, EvalConfig))
    if {name.partition(".")[0] for name in names} & (evaluations - runs):
        return Composer(extra=extra, name="eval", kind=EvalConfig)
    return Composer(extra=extra)


def _written(key: str, folder: str, origins: Origins) -> bool:
    file = origins.file(key, mappings=True)
    return file is not None and folder in f"/{file}"


def _title(key: Key) -> str:
    chosen = getattr(key.value, "name", None)
    head = f"{key.path}={chosen}" if chosen and "." not in key.path else key.path
    about = _paper(type(key.value)) or key.limits.doc
    return f"{head}: {about}" if about else head


def _paper(owner: type[Any]) -> str | None:
    found = _PAPER.search(owner.__doc__ or "")
    return found[1] if found else None


def fields_table(title: str, keys: Sequence[Key], prefix: str) -> Table:
    """Fields in one table: names, values with the default where it is another one, meaning and range.

    :param prefix: what the names have in common, left out
    """
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, title_style="bold")
    table.add_column("field", no_wrap=True)
    table.add_column("value", overflow="fold", max_width=18)
    table.add_column("meaning", overflow="fold")
    for key in keys:
        *above, name = key.path.removeprefix(prefix).split(".")
        shown = Text(shown_value(key.value) if not key.is_section else "")
        if not key.is_section and key.value != key.default:
            shown.append(f"\ndefault {shown_value(key.default)}", style="dim")
        meaning = Text(key.limits.doc)
        if not key.is_section:
            meaning.append(f"\n{key.may_hold}", style="dim")
        # An overlay's fields come from anywhere, so their sections stand in their names.
        table.add_row(Text("  " * len(above) + name if prefix else key.path), shown, meaning)
    return table


def shown_value(value: Any) -> str:
    """A value as it would be typed."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {shown_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(shown_value, value)) + "]"
    return str(value)


def _effect(key: Key) -> str:
    """What it does to results, where that is nothing."""
    if key.limits.unkeyed is not None:
        return f"no effect: {key.limits.unkeyed}"
    return "by rounding alone, so it is in no stage's key" if key.limits.rounding else ""


def _print_key(console: Console, key: Key, source: str | None, stages: Sequence[str]) -> None:
    sections = _SECTION.findall(key.limits.doc)
    rows = {
        "type": key.may_hold,
        "default": shown_value(key.default),
        "value": shown_value(key.value),
        "set by": source or "nothing: it is the default",
        "paper": ", ".join([_paper(key.owner) or "", *sections]).lstrip(", ") if sections else "",
        "read by": ", ".join(stages),
        "results": _effect(key),
    }
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, text in rows.items():
        if text:
            grid.add_row(f"  {name}", Text(text))
    console.print(Text(key.path, style="bold"), Text(f"  {key.limits.doc}"), grid, sep="\n")


def _launcher_table(names: Sequence[str]) -> Table:
    """Fields of the launcher that was named last, the local one where none was."""
    name = names[-1] if names else "local"
    if name not in LAUNCHERS:
        raise ConfigError([Problem(_LAUNCHER, f"'{name}' is not one of its choices", suggest(name, LAUNCHERS))])
    keys = [key for key in keys_of(LAUNCHERS[name]()).values() if key.path != "name"]
    return fields_table(f"{_LAUNCHER}={name}: set as hydra.launcher.FIELD", keys, " ")
