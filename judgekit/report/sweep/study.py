"""The jobs of a sweep as a study: what was varied, what came out, and what stands beside what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgekit.report.results_table import Rate
from judgekit.run_folder import RunFolder
from judgekit.run_results import final_judge, override_values, run_cost
from judgekit.schema.launchers import SlurmLauncherConfig
from judgekit.sweep_folder import Sweep, read_frozen, read_sweep
from judgekit.sweeps.status import statuses

Value = bool | int | float | str | None
"""What an override says; None where a job leaves the key as it is."""

SEED = "seed"
"""The key that repeats a setting instead of making another one."""

OUTCOMES = ("consistent_accuracy", "accuracy", "pairwise_accuracy", "exact_match")
"""Metrics a benchmark is first of all read by, the best first."""


@dataclass(frozen=True, slots=True)
class Run:
    """One job.

    :param folder: its run folder, relative to the sweep's
    :param values: overrides by key
    :param numbers: ``metrics.json``
    :param cost: as ``judgekit sweep collect`` names it, without ``cost/``
    :param judges: its judges, the one it leaves last
    :param benchmarks: those it was measured on
    """

    num: int
    state: str
    detail: str
    folder: str
    values: Mapping[str, Value]
    numbers: Mapping[str, float | None]
    cost: Mapping[str, float]
    judges: tuple[str, ...]
    benchmarks: tuple[str, ...]

    @property
    def tokens(self) -> int:
        """Of prompts, replies and training, in all stages the run rests on."""
        return int(sum(self.cost.get(f"{what}_tokens", 0) for what in ("prompt", "generated", "trained")))


@dataclass(frozen=True, slots=True)
class Study:
    """A sweep.

    :param command: what was typed, empty where it is not known
    :param gpus: of one job, None where the launcher does not say
    """

    sweep: Sweep
    runs: tuple[Run, ...]
    command: str
    gpus: int | None

    @property
    def benchmarks(self) -> list[str]:
        """All that some run was measured on."""
        return list(dict.fromkeys(name for run in self.runs for name in run.benchmarks))


def read_study(folder: Path) -> Study:
    """Read a sweep's folder, whatever its jobs have left there so far.

    :raises DataError: when it holds no sweep
    """
    sweep = read_sweep(folder)
    launcher = sweep.launcher
    per_node = launcher.gpus_per_node if isinstance(launcher, SlurmLauncherConfig) else None
    gpus = per_node * launcher.nodes if per_node and isinstance(launcher, SlurmLauncherConfig) else None
    runs = [
        _run(sweep.run(s.job), s.job.num, s.state, s.detail, s.job.folder, s.job.overrides) for s in statuses(sweep)
    ]
    return Study(sweep, tuple(runs), _command(sweep), gpus)


def _run(left: RunFolder, num: int, state: str, detail: str, folder: str, overrides: Iterable[str]) -> Run:
    manifest = left.known_manifest()
    judges = [str(judge) for judge in manifest.get("judges") or ()]
    if (final := final_judge(manifest)) in judges:
        judges = [*(judge for judge in judges if judge != final), str(final)]
    cost = {name.removeprefix("cost/"): value for name, value in run_cost(manifest).items() if value is not None}
    numbers = left.known_metrics() if state == "done" else {}
    asked: Mapping[str, Any] = manifest.get("benchmarks") or {}
    return Run(
        num, state, detail, folder, override_values(overrides), numbers, cost, tuple(judges), tuple(map(str, asked))
    )


def _command(sweep: Sweep) -> str:
    try:
        return " ".join(read_frozen(sweep.files(sweep.jobs[0]).config).command)
    except (IndexError, OSError, ValueError):
        return ""


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """A finished run on one benchmark, by one of its judges.

    :param values: of the swept keys and the seed
    """

    run: Run
    judge: str
    benchmark: str
    values: Mapping[str, Value]

    def rate(self, metric: str) -> Rate:
        """A metric with the interval over its pairs; its value is None where it does not apply."""
        name = f"eval/{self.judge}/{self.benchmark}/{metric}"
        return Rate(*(self.run.numbers.get(name + suffix) for suffix in ("", "_ci95_low", "_ci95_high")))

    def at(self, keys: Iterable[str]) -> tuple[Value, ...]:
        """Its values of some keys."""
        return tuple(self.values.get(key) for key in keys)


@dataclass(frozen=True, slots=True)
class View:
    """The finished runs of one benchmark, read by one metric.

    :param keys: keys that differ among them, without the seed, in the order in which they were typed
    :param values: what each of them takes, numbers in order, otherwise as they first appear
    """

    benchmark: str
    metric: str
    runs: tuple[MeasuredRun, ...]
    keys: tuple[str, ...]
    values: Mapping[str, tuple[Value, ...]]

    @property
    def seeds(self) -> int:
        """How many different seeds there are."""
        return len({run.values.get(SEED) for run in self.runs})

    def settings(self) -> dict[tuple[Value, ...], list[MeasuredRun]]:
        """Runs that differ in nothing but the seed, by their values."""
        return grouped(self.runs, self.keys)


def view(study: Study, benchmark: str, metric: str | None = None, judge: str | None = None) -> View | None:
    """What was measured on a benchmark; None when no finished run has a number of the metric.

    :param metric: None: the first of ``OUTCOMES`` that there is
    :param judge: None: the one each run leaves
    """
    found = []
    for run in study.runs:
        named = judge if judge is not None else (run.judges[-1] if run.judges else "")
        if benchmark in run.benchmarks:
            found.append(MeasuredRun(run, named, benchmark, run.values))
    for name in [metric] if metric is not None else OUTCOMES:
        known = tuple(one for one in found if one.rate(name).value is not None)
        if known:
            values = swept([one.values for one in known])
            return View(benchmark, name, known, tuple(key for key in values if key != SEED), values)
    return None


def swept(settings: Sequence[Mapping[str, Value]]) -> dict[str, tuple[Value, ...]]:
    """Keys that take more than one value, with the values."""
    keys = dict.fromkeys(key for values in settings for key in values)
    found = {key: tuple(dict.fromkeys(_typed(values.get(key)) for values in settings)) for key in keys}
    return {key: ordered([value for _, value in typed]) for key, typed in found.items() if len(typed) > 1}


def _typed(value: Value) -> tuple[bool, Value]:
    """Tells 1 from true."""
    return isinstance(value, bool), value


def ordered(values: Sequence[Value]) -> tuple[Value, ...]:
    """Numbers in order, others as they come."""
    if numeric(values):
        return tuple(sorted(value for value in values if isinstance(value, int | float)))
    return tuple(values)


def numeric(values: Iterable[Value]) -> bool:
    """Whether all are numbers, so that there is something between two of them."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def grouped(runs: Iterable[MeasuredRun], keys: Sequence[str]) -> dict[tuple[Value, ...], list[MeasuredRun]]:
    """Runs by their values of some keys."""
    found: dict[tuple[Value, ...], list[MeasuredRun]] = {}
    for run in runs:
        found.setdefault(run.at(keys), []).append(run)
    return found


def balanced(seen: View, keys: Sequence[str]) -> tuple[MeasuredRun, ...]:
    """The runs to average over all keys but these, such that every mean is over the same settings of the others.

    A job that failed would otherwise make one mean easier than another. Where no setting of the other keys is
    complete (jobs that are no full grid), all runs are given.
    """
    others = [key for key in seen.keys if key not in keys]
    places = set(grouped(seen.runs, keys))
    complete = {
        setting for setting, runs in grouped(seen.runs, others).items() if {run.at(keys) for run in runs} == places
    }
    return tuple(run for run in seen.runs if run.at(others) in complete) if complete else seen.runs


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Keys without their section where that leaves them different."""
    ends = [key.partition("@")[0].replace("/", ".").rpartition(".")[2] for key in keys]
    return {key: end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)}


def written(value: Value) -> str:
    """A value as it is typed."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
