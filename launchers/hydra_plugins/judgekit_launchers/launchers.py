"""``hydra/launcher=local`` and ``hydra/launcher=slurm``: every job runs from the configuration frozen at submission."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus, filter_overrides, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

if TYPE_CHECKING:
    from judgekit.schema.launchers import LauncherConfig
    from judgekit.sweeps.launching import Prepared


class LocalLauncher(Launcher):
    """Jobs on this machine.

    :param values: the fields of ``judgekit.schema.launchers``
    """

    kind = "local"

    def __init__(self, **values: Any) -> None:
        self._values = values

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what composing jobs needs, and check the settings."""
        from judgekit.schema.repository import ParsedOnce

        loader: Any = hydra_context.config_loader
        loader.repository = ParsedOnce(loader.repository)
        self._composed = _Composed(loader)
        hydra_context.config_loader = self._composed  # type: ignore[assignment]
        self._config = config
        self._launcher = settings(self.kind, self._values)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Freeze and start jobs, and wait for them if so configured.

        :raises judgekit.errors.StageError: when jobs failed
        """
        from judgekit.sweeps.launching import launch

        setup_globals()
        folder = Path(str(self._config.hydra.sweep.dir))
        prepared = [self._prepare(initial_job_idx + index, item) for index, item in enumerate(job_overrides)]
        launch(folder, folder.name, self._launcher, prepared)
        return [_returned(item.overrides) for item in prepared]

    def _prepare(self, num: int, overrides: Sequence[str]) -> Prepared:
        """Resolve a job's configuration, as Hydra does before it runs one."""
        from hydra.core.hydra_config import HydraConfig

        from judgekit.schema.composition import to_config
        from judgekit.sweep_folder import Frozen, config_digest
        from judgekit.sweeps.job import kind_of
        from judgekit.sweeps.launching import Prepared

        cfg = self._composed.load_sweep_config(self._config, list(overrides), last=True)
        with open_dict(cfg):
            cfg.hydra.job.id = cfg.hydra.job.num = num
        before = HydraConfig.instance().cfg
        try:
            # Some of its values are only resolved inside a running job.
            HydraConfig.instance().set_config(cfg)
            run_dir = (Path(str(cfg.hydra.sweep.dir)) / str(cfg.hydra.sweep.subdir)).absolute()
            with read_write(cfg.hydra.runtime), open_dict(cfg.hydra.runtime):
                cfg.hydra.runtime.output_dir = str(run_dir)
            HydraConfig.instance().set_config(cfg)
            config = to_config(cfg, kind_of(cfg))
            frozen = Frozen(
                config=asdict(config),
                run_dir=str(run_dir),
                cwd=os.getcwd(),
                command=list(sys.argv),
                logging=_section(cfg, "hydra.job_logging"),
                environment={name: str(value) for name, value in _section(cfg, "hydra.job.env_set").items()},
            )
        finally:
            HydraConfig.instance().cfg = before
        return Prepared(num, list(filter_overrides(overrides)), config_digest(config), frozen)


class _Composed:
    """Hydra's loader, which a sweeper asks for every job before the launcher does: composing takes most of the time."""

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._jobs: dict[tuple[str, ...], DictConfig] = {}

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: list[str], last: bool = False
    ) -> DictConfig:
        """A job's configuration.

        :param last: nobody asks for it again
        """
        key = tuple(sweep_overrides)
        found = self._jobs.pop(key, None)
        if found is None:
            found = self._loader.load_sweep_config(master_config, sweep_overrides)
        if not last:
            self._jobs[key] = found
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class SlurmLauncher(LocalLauncher):
    """Jobs as an array of SLURM jobs."""

    kind = "slurm"


def settings(kind: str, values: Mapping[str, Any]) -> LauncherConfig:
    """A launcher's settings.

    :raises judgekit.errors.ConfigError: with every mistake in them
    """
    from judgekit.errors import ConfigError
    from judgekit.schema.launchers import LAUNCHERS
    from judgekit.schema.validation import build

    given = {name: _container(value) for name, value in values.items()}
    config, problems = build(LAUNCHERS[kind], given, "hydra.launcher")
    if problems:
        raise ConfigError(problems)
    return config


def _container(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _section(cfg: DictConfig, key: str) -> dict[str, Any]:
    found = OmegaConf.select(cfg, key)
    return {str(name): value for name, value in (_container(found) or {}).items()}


def _returned(overrides: Sequence[str]) -> JobReturn:
    done = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED)
    done.return_value = None
    return done
