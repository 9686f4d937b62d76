"""From YAML groups and command-line overrides to validated configurations, with all mistakes reported at once.

Hydra composes; everything here works on its config loader, so that what is validated is what will run. This is
the last place that sees a ``DictConfig``.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from judgekit.errors import ConfigError, Problem
from judgekit.schema import eval_checks  # noqa: F401  (registers its checks)
from judgekit.schema.checks import cross_checks
from judgekit.schema.config import RunConfig
from judgekit.schema.nodes import register
from judgekit.schema.origins import Origins
from judgekit.schema.overrides import check_override, parse_override
from judgekit.schema.repository import ParsedOnce
from judgekit.schema.rules import AnyConfig
from judgekit.schema.validation import Sources, build

Config = TypeVar("Config", bound=AnyConfig)
MAX_VALIDATED = 32
"""Grid points whose mistakes are told together, those that show a value for the first time before the others.

Launchers validate every point once more before they start any, so that a long grid is not composed twice.
"""


def conf_dir() -> Path:
    """The folder of the config groups: inside an installed package, or beside it in a source checkout."""
    package = Path(__file__).parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


@dataclass(frozen=True)
class Job:
    """One validated run.

    :param overrides: the command-line overrides that make it
    """

    overrides: tuple[str, ...]
    config: AnyConfig


def to_config(
    cfg: DictConfig, kind: type[Config], wrong: Iterable[str] = (), sources: Sources = lambda _: None
) -> Config:
    """The dataclasses of a composed configuration.

    :param kind: what it configures
    :param wrong: keys whose overrides were left out as wrong
    :param sources: tells where a value came from
    :raises ConfigError: with every problem of single values and of their combination
    """
    config, problems = build(kind, _container(cfg), sources=sources)
    problems += cross_checks(config, [*wrong, *(problem.key for problem in problems)], sources)
    if problems:
        raise ConfigError(problems)
    return config


class Composer:
    """Composes configurations as ``hydra.main`` does with the same folder, name and overrides."""

    def __init__(
        self,
        conf: Path | None = None,
        extra: Path | None = None,
        name: str = "config",
        kind: type[AnyConfig] = RunConfig,
    ) -> None:
        """Open the config groups.

        :param conf: folder of the groups; None: judgekit's own
        :param extra: a folder searched before it (``--config-dir``)
        :param name: the primary file, without its ending
        :param kind: what it configures
        :raises ConfigError: when ``extra`` is not a folder
        """
        if extra is not None and not extra.is_dir():
            raise ConfigError([Problem("--config-dir", f"{extra} is not a folder")])
        register()
        search_path = create_config_search_path(str(conf or conf_dir()))
        if extra is not None:
            search_path.prepend("command-line", f"file://{extra.absolute()}", SearchPathQuery(provider="schema"))
        self.loader = ConfigLoaderImpl(config_search_path=search_path)
        self.loader.repository = ParsedOnce(self.loader.repository)  # type: ignore[assignment]
        self.name, self.kind = name, kind
        self._chosen: dict[tuple[str, ...], DictConfig] = {}

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration with its ``hydra`` section.

        :raises ConfigError: when Hydra refuses
        """
        try:
            return self.loader.load_configuration(self.name, list(overrides), RunMode.RUN)
        except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
            raise ConfigError([_unreadable(error)]) from error

    def job(self, overrides: Sequence[str], ignoring: Sequence[str] = ()) -> Job:
        """One run.

        :param ignoring: keys nothing will read, so that combinations with them need not make sense
        :raises ConfigError: with every mistake in the overrides and in the values they lead to
        """
        return self._jobs(overrides, multirun=False, ignoring=ignoring)[0]

    def grid(self, overrides: Sequence[str]) -> list[Job]:
        """The runs of a multirun grid, at most ``MAX_VALIDATED`` of them.

        :raises ConfigError: with every mistake of every run, each told once
        """
        return self._jobs(overrides, multirun=True)

    def values(self, overrides: Sequence[str]) -> tuple[AnyConfig, Origins]:
        """The values of a configuration, whether or not they go together, and where they came from.

        :raises ConfigError: with every override that cannot be applied, or every value that is wrong in itself
        """
        sound, problems = self._split(overrides, multirun=False)
        if problems:
            raise ConfigError(problems)
        origins = Origins(self.loader, self.name, _lines(sound))
        config, problems = build(self.kind, _container(self.compose(_lines(sound))), sources=origins)
        # A file need not be there to say what its field means.
        wrong = [problem for problem in problems if not problem.message.startswith("nothing is at")]
        if wrong:
            raise ConfigError(wrong)
        return config, origins

    def check_overrides(self, overrides: Sequence[str]) -> None:
        """Refuse overrides that cannot be applied, as of keys there are not.

        :raises ConfigError: with all of them
        """
        _, problems = self._split(overrides, multirun=True)
        if problems:
            raise ConfigError(problems)

    def _jobs(self, overrides: Sequence[str], multirun: bool, ignoring: Sequence[str] = ()) -> list[Job]:
        sound, problems = self._split(overrides, multirun)
        wrong = [*ignoring, *(problem.key for problem in problems)]
        jobs = []
        for point in self._points(sound) if multirun else [_lines(sound)]:
            job, found = self._validate(point, wrong)
            problems += found
            jobs += [job] if job is not None else []
        if problems:
            raise ConfigError(list(dict.fromkeys(problems)))
        return jobs

    def _validate(self, point: Sequence[str], wrong: Iterable[str]) -> tuple[Job | None, list[Problem]]:
        problems: list[Problem] = []
        used = list(point)
        try:
            cfg = self._compose_point(used)
        except ConfigError as error:
            # What Hydra refuses is nearly always an addition, a deletion or its own setting: look at the rest as well.
            problems += error.problems
            used = [text for text in point if text[0] not in "+~" and not text.startswith("hydra")]
            try:
                cfg = self.compose(used)
            except ConfigError:
                return None, problems
        try:
            job = Job(tuple(point), to_config(cfg, self.kind, wrong, Origins(self.loader, self.name, used)))
        except ConfigError as error:
            return None, problems + error.problems
        return (None, problems) if problems else (job, [])

    def _compose_point(self, point: Sequence[str]) -> DictConfig:
        """``compose`` for one of many points, but for Hydra's own section: files are merged once for all with the same.

        Values are applied after files are merged, so points that differ in values alone share everything before.
        """
        parsed = OverridesParser.create(config_loader=self.loader).parse_overrides(list(point))
        values = [
            override for override in parsed
            if override.type == OverrideType.CHANGE and not self.loader.repository.group_exists(override.key_or_group)
        ]  # fmt: skip
        files = tuple(_lines(override for override in parsed if override not in values))
        if files not in self._chosen:
            self._chosen[files] = self.compose(files)
        cfg = copy.deepcopy(self._chosen[files])
        try:
            ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise ConfigError([_unreadable(error)]) from error
        return cfg

    def _split(self, overrides: Sequence[str], multirun: bool) -> tuple[list[Override], list[Problem]]:
        """The overrides that can be applied, and what is wrong with the others, each looked at on its own."""
        parsed: list[Override] = []
        problems: list[Problem] = []
        for text in overrides:
            override, problem = parse_override(text, self.loader)
            if override is not None:
                parsed.append(override)
            elif problem is not None:
                problems.append(problem)
        # Composing takes most of the time, and group choices alone do not need it.
        base = functools.cache(lambda: self._base(parsed))
        sound = []
        for override in parsed:
            problem = check_override(override, self.loader, base, multirun)
            if problem is None:
                sound.append(override)
            else:
                problems.append(problem)
        return sound, problems

    def _base(self, overrides: Iterable[Override]) -> Mapping[str, Any]:
        """What single values may be overridden: all fields of the configuration that groups and additions make."""
        groups = set(self.loader.list_groups(""))
        fixed = [override for override in overrides if not override.is_sweep_override()]
        chosen = [override for override in fixed if override.key_or_group in groups]
        added = [override for override in fixed if override.type in (OverrideType.ADD, OverrideType.FORCE_ADD)]
        for selection in ([*chosen, *(o for o in added if o not in chosen)], chosen, []):
            try:
                composed = _container(self.compose(_lines(selection)), resolve=False)
            except ConfigError:
                continue
            return asdict(build(self.kind, composed)[0])
        return {}

    def _points(self, overrides: Sequence[Override]) -> list[list[str]]:
        """The grid as Hydra's basic sweeper expands it, thinned so that every value stays."""
        fixed = _lines(override for override in overrides if not override.is_sweep_override())
        try:
            params = OmegaConf.select(self.compose(fixed), "hydra.sweeper.params") or {}
        except ConfigError:
            params = {}  # every point of the grid will tell why
        parser = OverridesParser.create(config_loader=self.loader)
        swept = [*parser.parse_overrides([f"{key}={value}" for key, value in params.items()]), *overrides]
        if any(override.is_sweep_override() and not override.is_discrete_sweep() for override in swept):
            return [fixed]  # only another sweeper understands intervals; what it picks is validated in each job
        (points,) = BasicSweeper.split_arguments(swept, None)
        return thin(points, MAX_VALIDATED)


def _container(cfg: DictConfig, resolve: bool = True) -> dict[str, Any]:
    """A composed configuration without Hydra's own section, which only resolves inside a running job.

    :raises ConfigError: when a value refers to what there is not
    """
    own = OmegaConf.masked_copy(cfg, [str(name) for name in cfg if name != "hydra"])
    try:
        container = OmegaConf.to_container(own, resolve=resolve, throw_on_missing=resolve)
    except OmegaConfBaseException as error:
        raise ConfigError([_unreadable(error)]) from error
    assert isinstance(container, dict)
    return {str(name): value for name, value in container.items()}


def _lines(overrides: Iterable[Override]) -> list[str]:
    return [override.input_line or "" for override in overrides]


def thin(points: list[list[str]], limit: int) -> list[list[str]]:
    """At most ``limit`` points, first those that show a value for the first time."""
    seen: set[str] = set()
    first: list[list[str]] = []
    rest: list[list[str]] = []
    for point in points:
        (rest if seen.issuperset(point) else first).append(point)
        seen.update(point)
    return (first + rest)[:limit]


def _unreadable(error: Exception) -> Problem:
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    key = getattr(cause, "full_key", None) or "configuration"
    text = str(error) or str(cause)
    return Problem(str(key), " ".join(line.strip() for line in text.splitlines() if line.strip()))
