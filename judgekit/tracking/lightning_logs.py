"""Records through Lightning's own loggers: TensorBoard event files, or one CSV table of the series."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from judgekit.errors import MissingExtraError
from judgekit.run_folder import RunFolder
from judgekit.run_results import final_numbers, run_cost
from judgekit.tracking.base import Number, Place, Replay, SeriesPoint, Status

FLUSH_STEPS = 20
"""Points after which the CSV file is written; ``metrics.jsonl`` has each at once."""


class LightningTracker:
    """The series in ``RUN_DIR/tensorboard`` or ``RUN_DIR/csv``, written anew in each session from the local series.

    TensorBoard also gets the values of the configuration with the main numbers, for its table of hyperparameters.
    """

    def __init__(
        self,
        kind: Literal["csv", "tensorboard"],
        run_dir: Path,
        run_config: Mapping[str, Any],
        *,
        place: Place,
        earlier: Sequence[SeriesPoint] = (),
    ) -> None:
        """Open the logger; what an earlier session left of it is written anew.

        :param earlier: the series that earlier sessions of this run logged
        """
        self._run_dir, self._kind = run_dir, kind
        self._values = {**_flat(run_config), **{f"sweep/{key}": value for key, value in place.values.items()}}
        shutil.rmtree(run_dir / kind, ignore_errors=True)
        self._logger = _open(kind, run_dir)
        self._replay = Replay(earlier)
        if kind == "csv":
            self._logger.log_hyperparams(self._values)

    def log(self, stage: str, step: int, values: Mapping[str, Number]) -> None:
        """Add a point; see :class:`judgekit.tracking.base.Tracker`."""
        for point in self._replay.before(stage, step):
            self._send(point.step, point.values)
        self._send(step, values)

    def summary(self, values: Mapping[str, Number]) -> None:
        """Nothing: ``metrics.json`` has the final numbers, and the end of the run sends the main ones."""

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Nothing: these loggers have no tables."""

    def artifact(self, name: str, kind: str, folder: Path, used: bool = False) -> None:
        """Nothing: these loggers have no artifacts."""

    def finish(self, status: Status) -> None:
        """Write what is left and close."""
        for point in self._replay.rest():
            self._send(point.step, point.values)
        if self._kind == "tensorboard":
            folder = RunFolder(self._run_dir)
            manifest = folder.known_manifest()
            numbers = final_numbers(manifest, folder.known_metrics()) | run_cost(manifest)
            known = {name: float(value) for name, value in numbers.items() if value is not None}
            plain = {
                name: value if isinstance(value, int | float) else str(value) for name, value in self._values.items()
            }
            self._logger.log_hyperparams(plain, known)
        self._logger.finalize("success" if status == "finished" else status)

    def _send(self, step: int, values: Mapping[str, Number]) -> None:
        self._logger.log_metrics({name: float(value) for name, value in values.items() if value is not None}, step)


def _open(kind: str, run_dir: Path) -> Any:
    """The logger; the two take their hyperparameters differently."""
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    if kind == "csv":
        return CSVLogger(run_dir, name="", version="csv", flush_logs_every_n_steps=FLUSH_STEPS)
    try:
        return TensorBoardLogger(run_dir, name="", version="tensorboard", default_hp_metric=False)
    except ModuleNotFoundError as error:
        raise MissingExtraError("tensorboard", "tensorboard") from error


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found
