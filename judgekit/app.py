"""The Hydra applications behind ``judgekit run`` and ``judgekit eval``."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from judgekit.errors import ConfigError, JudgekitError, Problem, StageError
from judgekit.randomness import digest
from judgekit.schema.composition import Composer, conf_dir, to_config
from judgekit.schema.config import RunConfig
from judgekit.schema.evaluation import EvalConfig
from judgekit.schema.nodes import register
from judgekit.schema.overrides import judge_overrides

_log = logging.getLogger(__name__)
_LONGEST = 80
"""Characters of a folder name before it is shortened."""


def folder_name(name: str, overrides: str) -> str:
    """The run folder of one set of overrides: the same for the same set in any order.

    The result can stand in an override without quotes. Names that had to lose something end in a digest, so
    that different overrides never share a folder.

    :param name: name of the run
    :param overrides: sorted ``key=value`` items joined by commas; empty: the name alone
    """
    if not overrides:
        return name
    plain = re.sub(r",(?=[+~]*[\w@/.\[\]]+=)", "--", overrides).replace("=", "_")
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", plain)
    if slug != plain or len(slug) > _LONGEST:
        slug = f"{slug[:_LONGEST].rstrip('-._')}-{digest(overrides, 8)}"
    return f"{name}--{slug}"


def register_resolvers() -> None:
    """Make the folder names available to YAML."""
    OmegaConf.register_new_resolver("judgekit.folder", folder_name, replace=True)
    # The cache makes the jobs of a sweep agree on its folder although each sees only its own overrides.
    OmegaConf.register_new_resolver("judgekit.sweep_folder", folder_name, use_cache=True, replace=True)


@dataclass(frozen=True)
class Application:
    """A command that Hydra configures.

    :param config_name: the primary file in ``conf/``
    :param kind: what it configures
    :param execute: does one job in a folder
    """

    command: str
    config_name: str
    kind: type[RunConfig] | type[EvalConfig]
    execute: Callable[[DictConfig, Path], None]


def _run(cfg: DictConfig, run_dir: Path) -> None:
    from judgekit.runner import run_recipe

    run_recipe(to_config(cfg, RunConfig), run_dir)


def _evaluate(cfg: DictConfig, run_dir: Path) -> None:
    from judgekit.evaluator import evaluate

    evaluate(to_config(cfg, EvalConfig), run_dir)


APPLICATIONS = {
    "run": Application("run", "config", RunConfig, _run),
    "eval": Application("eval", "eval", EvalConfig, _evaluate),
}


class Jobs:
    """Runs jobs and keeps what their users must mend, because Hydra prints a line of its own before it raises.

    :ivar count: jobs run so far
    :ivar failures: error by run folder
    """

    def __init__(self, application: Application) -> None:
        self.application = application
        self.count = 0
        self.failures: dict[Path, JudgekitError | OSError] = {}
        self._process = os.getpid()

    def __call__(self, cfg: DictConfig) -> None:
        """Run one job in the folder Hydra made for it."""
        self.count += 1
        run_dir = Path(HydraConfig.get().runtime.output_dir)
        try:
            self.application.execute(cfg, run_dir)
        except Exception as error:
            # The terminal shows one paragraph; the whole story goes to run.log.
            _log.debug("The run stopped", exc_info=True)
            # A launcher may have brought this object to another process, where nobody looks at it afterwards.
            if not isinstance(error, JudgekitError | OSError) or os.getpid() != self._process:
                raise
            self.failures[run_dir] = error

    def report(self) -> None:
        """Raise what failed; a grid goes on after a failure, and tells all of them at its end."""
        if self.count == 1:
            for error in self.failures.values():
                raise error
        if self.failures:
            told = "\n".join(f"  {shown(folder)}: {error}" for folder, error in self.failures.items())
            raise StageError(f"{len(self.failures)} of {self.count} jobs failed:\n{told}")


def shown(path: Path) -> Path:
    """A path as short as it can be typed here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def run(arguments: Sequence[str], application: Application = APPLICATIONS["run"]) -> None:
    """``judgekit run`` or ``eval``: validate every job, then let Hydra launch them.

    :param arguments: overrides and Hydra's own flags
    :raises ConfigError: with every mistake in every job, before anything is launched
    """
    register_resolvers()
    arguments = overrides_together(arguments)
    flags = get_args_parser().parse_args(arguments)
    extra = Path(flags.config_dir) if flags.config_dir else None
    composer = Composer(extra=extra, name=flags.config_name or application.config_name, kind=application.kind)
    if application.kind is EvalConfig:
        arguments = judge_overrides(arguments, composer.loader)
        flags = get_args_parser().parse_args(arguments)
    shows = (flags.help, flags.hydra_help, flags.info, flags.shell_completion, flags.experimental_rerun)
    if flags.cfg:
        composer.check_overrides(flags.overrides)
        composer.compose(flags.overrides)
    elif not any(shows):
        multirun = flags.multirun or "hydra.mode=MULTIRUN" in flags.overrides
        jobs = composer.grid(flags.overrides) if multirun else [composer.job(flags.overrides)]
        if application.kind is RunConfig:
            from judgekit.planning import refuse_unread

            refuse_unread(jobs, composer)
    program = sys.argv[0] if flags.shell_completion else f"{sys.argv[0]} {application.command}"
    launch(arguments, program, application)


def overrides_together(arguments: Sequence[str]) -> list[str]:
    """Arguments as Hydra can parse them: it refuses overrides on both sides of a flag, as in ``a=1 -m b=2``."""
    parser = get_args_parser()
    if not parser.parse_known_args(list(arguments))[1]:
        return list(arguments)
    overrides = parser.parse_intermixed_args(list(arguments)).overrides
    return [*overrides, *(argument for argument in arguments if argument not in overrides)]


def launch(arguments: Sequence[str], program: str, application: Application) -> None:
    """Hand over to Hydra.

    :param program: what stands before the arguments in help texts and records
    :raises ConfigError: when Hydra refuses the configuration
    :raises JudgekitError: when a run stops for a reason its user can mend
    """
    register_resolvers()
    register()
    jobs = Jobs(application)
    # Hydra reads its arguments from here, and a run records its command from here.
    sys.argv = [program, *arguments]
    # Otherwise Hydra prints errors itself, with a traceback, and exits with its own code.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=application.config_name)(jobs)()
    except HydraException as error:
        raise ConfigError([Problem("configuration", " ".join(str(error).split()))]) from error
    jobs.report()


def complete(arguments: Sequence[str], commands: Sequence[str]) -> None:
    """Shell completion: Hydra completes overrides after ``run``, ``eval``, ``check``, ``explain``; this adds commands.

    :param arguments: Hydra's completion flags
    :param commands: names of all commands
    """
    line = os.environ.get("COMP_LINE")
    command = "run"
    if line is not None:
        program, _, rest = line.lstrip().partition(" ")
        command, started, overrides = rest.lstrip().partition(" ")
        if not started:
            print(" ".join(commands))
            return
        if command not in ("run", "check", "explain", "eval"):
            return
        os.environ["COMP_LINE"] = f"{program} {overrides}"
    launch(arguments, sys.argv[0], APPLICATIONS.get(command, APPLICATIONS["run"]))
