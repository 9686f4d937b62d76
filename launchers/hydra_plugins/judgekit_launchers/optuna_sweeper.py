"""``hydra/sweeper=optuna``: Optuna proposes the jobs of a multirun by what earlier ones reached.

Proposals are a pure function of the seed and of the results, and a finished job is not run again: the same command
takes up a search that was interrupted, without a database.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)


class OptunaSweeper(Sweeper):
    """Searches the keys that are given several values or an interval; other overrides hold for every job.

    :param metric: number of ``metrics.json`` to reach for, or ``final/BENCHMARK/METRIC`` of the judge a run leaves
    :param direction: ``maximize`` or ``minimize``
    :param n_trials: jobs in all
    :param n_jobs: jobs proposed together, before any of them has a result
    :param seed: of the proposals
    :param params: keys to search, as of Hydra's own sweeper
    """

    def __init__(
        self, metric: str, direction: str, n_trials: int, n_jobs: int, seed: int, params: DictConfig | None = None
    ) -> None:
        """Keep the settings; Hydra makes the sweeper before it sets it up."""
        self._metric, self._direction = metric, direction
        self._trials, self._at_a_time, self._seed = n_trials, n_jobs, seed
        self._params = params
        self._launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher."""
        self._config = config
        self._loader = hydra_context.config_loader
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Propose and launch until there are ``n_trials`` jobs, and say which was best.

        :raises judgekit.errors.MissingExtraError: without Optuna
        :raises judgekit.errors.ConfigError: when there is nothing to search
        :raises judgekit.errors.StageError: when no job has the metric
        """
        from judgekit.errors import ConfigError, JudgekitError, MissingExtraError, Problem, StageError

        try:
            import optuna
        except ImportError as error:
            raise MissingExtraError("optuna", "optuna") from error
        assert self._launcher is not None
        fixed, space = self._space(arguments)
        if not space:
            hint = "Give some key several values or an interval, such as loss.beta=interval(0.05,0.5)"
            raise ConfigError([Problem("hydra.sweeper.params", "there is nothing to search", hint)])
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=self._seed)
        study = optuna.create_study(direction=self._direction, sampler=sampler)
        failures: list[Exception] = []
        for start in range(0, self._trials, self._at_a_time):
            trials = [study.ask(space) for _ in range(min(self._at_a_time, self._trials - start))]
            points = [[*fixed, *(f"{key}={value}" for key, value in trial.params.items())] for trial in trials]
            try:
                self._launcher.launch(points, initial_job_idx=start)
            except JudgekitError as error:
                failures.append(error)  # the other jobs of the batch are done
            for number, trial in enumerate(trials, start=start):
                value = self._reached(number)
                state = optuna.trial.TrialState.FAIL if value is None else None
                study.tell(trial, value, state=state)
        if not any(trial.value is not None for trial in study.trials):
            if failures:
                raise failures[0]
            raise StageError(f"No job has the number '{self._metric}' (hydra.sweeper.metric) in its metrics.json")
        _tell(study, self._metric)

    def _space(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, optuna.distributions.BaseDistribution]]:
        """Overrides that hold for every job, and what to search; an argument wins over ``params``."""
        parser = OverridesParser.create(config_loader=self._loader)
        held: Mapping[Any, Any] = OmegaConf.to_container(self._params) if self._params else {}  # type: ignore[assignment]
        overrides = parser.parse_overrides([*(f"{key}={value}" for key, value in held.items()), *arguments])
        fixed: dict[str, str] = {}
        space: dict[str, optuna.distributions.BaseDistribution] = {}
        for override in overrides:
            key = override.get_key_element()
            fixed.pop(key, None)
            space.pop(key, None)
            if override.is_sweep_override():
                space[key] = distribution(override)
            else:
                fixed[key] = f"{key}={override.get_value_element_as_str()}"
        return list(fixed.values()), space

    def _reached(self, number: int) -> float | None:
        """What a job reached; None when it failed or has no such number."""
        from judgekit.run_results import final_numbers
        from judgekit.sweep_folder import read_sweep

        sweep = read_sweep(Path(str(self._config.hydra.sweep.dir)))
        job = next(job for job in sweep.jobs if job.num == number)
        run = sweep.run(job)
        if not run.is_finished(job.config_digest):
            return None
        numbers = run.known_metrics()
        value = (final_numbers(run.known_manifest(), numbers) | numbers).get(self._metric)
        return None if value is None else float(value)


def distribution(override: Override) -> optuna.distributions.BaseDistribution:
    """What Optuna draws a key from: ``a,b,c``, ``choice(...)``, ``range(...)`` or ``interval(...)``.

    ``tag(log, interval(1e-6, 1e-4))`` draws by ratios, ``int(interval(1, 5))`` whole numbers.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value: Any = override.value()
    if isinstance(value, IntervalSweep):
        low, high, log_scale = value.start, value.end, "log" in value.tags
        assert low is not None and high is not None
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log_scale)
        return FloatDistribution(float(low), float(high), log=log_scale)
    if isinstance(value, RangeSweep) and all(isinstance(end, int) for end in (value.start, value.stop, value.step)):
        return IntDistribution(int(value.start or 0), int(value.stop or 0) - 1, step=int(value.step))
    return CategoricalDistribution([str(item) for item in override.sweep_string_iterator()])


def _tell(study: optuna.Study, metric: str) -> None:
    from judgekit.sweeps.launching import say

    best = study.best_trial
    found = " ".join(f"{key}={value}" for key, value in best.params.items())
    say(f"Best of {len(study.trials)} jobs: #{best.number}, {metric} {best.value:.4g}, {found}")
