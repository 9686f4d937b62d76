"""Records as a W&B run inside the run's folder.

W&B is a guest: whatever fails in it is reported once and the run goes on with its local files.
"""

from __future__ import annotations

import logging
import math
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judgekit.run_folder import RunFolder
from judgekit.run_results import final_numbers, run_cost
from judgekit.schema.logger import LoggerConfig
from judgekit.tracking.base import Number, Place, Replay, SeriesPoint, Status

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

INIT_SECONDS = 30
FINISH_SECONDS = 600
"""How long to wait for W&B's server; after that records stay in the folder for ``judgekit sync``."""


class WandbTracker:
    """One W&B run per run folder: a resumed run goes on under the same id.

    Online, what an earlier session sent is not sent again. Offline, W&B begins a new segment and segments of one id
    replace each other when synced; so each segment is made complete by replaying the earlier series and final
    numbers, and the segments it supersedes are moved to ``wandb/superseded``.

    :param earlier: the series that earlier sessions of this run logged
    """

    def __init__(
        self,
        config: LoggerConfig,
        run_dir: Path,
        run_config: Mapping[str, Any],
        *,
        name: str,
        place: Place,
        earlier: Sequence[SeriesPoint] = (),
    ) -> None:
        import wandb

        self._wandb = wandb
        self._run: wandb.Run | None = None
        self._run_dir = run_dir.resolve()
        self._dir = RunFolder(self._run_dir).wandb
        self._dir.mkdir(parents=True, exist_ok=True)
        self._id = _stable_id(self._dir / "run_id")
        self._superseded = sorted(self._dir.glob(f"offline-run-*-{self._id}"))
        self._series_of: dict[str, str] = {}
        self._replay = Replay(earlier)
        self._bytes = config.artifact_gb * 1e9
        with self._guarded():
            self._run = self._start(config, run_config, name, place)
            if self._offline:
                self._run.summary.update(_known(RunFolder(run_dir).read_metrics()))

    def log(self, stage: str, step: int, values: Mapping[str, Number]) -> None:
        """Add a point, with the stage's own step axis; see :class:`judgekit.tracking.base.Tracker`."""
        if self._offline:
            for point in self._replay.before(stage, step):
                self._send(point.stage, point.step, point.values)
        elif any(p.step == step and p.values.keys() == values.keys() for p in self._replay.points.get(stage, ())):
            return
        self._send(stage, step, values)

    def summary(self, values: Mapping[str, Number]) -> None:
        """Merge final numbers."""
        self._call(lambda run: run.summary.update(_known(values)))

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Log a table under ``name``."""

        def send(run: wandb.Run) -> None:
            data = [list(row) for row in rows]
            run.log({name: self._wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)})

        self._call(send)

    def artifact(self, name: str, kind: str, folder: Path, used: bool = False) -> None:
        """Log the files of a folder; they are read in place, not copied, and of a large folder only the place is sent.

        What is used goes under the same name and content as what another run made, so that W&B takes them for one
        and shows which run made what which run used.
        """

        def send(run: wandb.Run) -> None:
            files = sorted(path for path in folder.resolve().rglob("*") if path.is_file())
            size = sum(path.stat().st_size for path in files)
            artifact = self._wandb.Artifact(name, kind, metadata={"folder": str(folder.resolve()), "bytes": size})
            if size > self._bytes:
                artifact.add_reference(folder.resolve().as_uri(), checksum=False)
                files = []
            for path in files:
                inside = path.relative_to(folder.resolve()).as_posix()
                artifact.add_file(str(path), inside, policy="immutable", skip_cache=True)
            if not used:
                run.log_artifact(artifact)
            elif self._offline:
                # W&B's own `use_artifact` asks the server, although the offline record can hold it.
                run._log_artifact(artifact, is_user_created=True, use_after_commit=True)
            else:
                run.use_artifact(artifact)

        self._call(send)

    def finish(self, status: Status) -> None:
        """End the W&B run inside this job, so that the next job of a sweep gets its own."""
        if self._offline:
            for point in self._replay.rest():
                self._send(point.stage, point.step, point.values)
        folder = RunFolder(self._run_dir)
        manifest = folder.known_manifest()
        numbers = final_numbers(manifest, folder.known_metrics()) | run_cost(manifest)
        self._call(lambda run: run.summary.update(_known(numbers)))
        self._call(lambda run: run.finish(exit_code=0 if status == "finished" else 1))
        if self._offline and self._run is not None:
            self._set_superseded_aside()
        self._run = None

    @property
    def _offline(self) -> bool:
        return self._run is not None and bool(self._run.settings.mode == "offline")

    def _start(self, config: LoggerConfig, run_config: Mapping[str, Any], name: str, place: Place) -> wandb.Run:
        sweep = {"name": place.sweep, "job": place.job, **place.values} if place.sweep is not None else {}

        def init(mode: str) -> wandb.Run:
            # Weave would trace calls to judges behind a server, and advertises itself where it is not installed.
            os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")
            settings = self._wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,  # the manifest has the revision, and a remote's address can hold a password
                disable_code=True,
                init_timeout=INIT_SECONDS,
                finish_timeout=FINISH_SECONDS,
            )
            run: wandb.Run = self._wandb.init(
                project=config.project,
                entity=config.entity,
                dir=str(self._dir.parent),
                id=self._id,
                name=name if place.job is None else f"{name} #{place.job}",
                group=config.group or place.sweep or name,
                job_type=place.kind,
                tags=_tags(run_config),
                config={**run_config, "sweep": sweep},
                mode="online" if mode == "online" else "offline",
                resume="allow" if mode == "online" else None,
                reinit="create_new",
                settings=settings,
            )
            return run

        try:
            return init(config.mode)
        except Exception as error:
            if config.mode == "offline":
                raise
            logger.warning("W&B cannot be reached (%s). Send its records later: judgekit sync %s", error, self._run_dir)
            self._wandb.teardown()  # W&B's service still holds the id of the run that did not start
            return init("offline")

    def _send(self, stage: str, step: int, values: Mapping[str, Number]) -> None:
        axis = f"step/{stage}"

        def send(run: wandb.Run) -> None:
            for name in values:
                if self._series_of.get(name) != stage:
                    run.define_metric(axis, hidden=True)
                    run.define_metric(name, step_metric=axis)
                    self._series_of[name] = stage
            run.log({axis: step, **_known(values)})

        self._call(send)

    def _call(self, action: Callable[[wandb.Run], object]) -> None:
        run = self._run
        if run is not None:
            with self._guarded():
                action(run)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Run W&B code: its caches go to the run's folder, and its first failure ends it, not the run."""
        homes = {name: str(self._dir / "local") for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR")}
        added = {name: value for name, value in homes.items() if name not in os.environ}
        os.environ.update(added)
        try:
            yield
        except Exception as error:
            self._run = None
            logger.warning("W&B failed and records nothing more of this run; the local files go on: %s", error)
        finally:
            for name in added:
                os.environ.pop(name, None)

    def _set_superseded_aside(self) -> None:
        for segment in self._superseded:
            aside = self._dir / "superseded" / segment.name
            aside.parent.mkdir(exist_ok=True)
            segment.rename(aside)


def _stable_id(path: Path) -> str:
    """The W&B run id of this folder, drawn once: a path would be the same on two machines."""
    if not path.exists() or not path.read_text(encoding="ascii").strip():
        path.write_text(uuid.uuid4().hex[:12] + "\n", encoding="ascii")
    return path.read_text(encoding="ascii").strip()


def _tags(run_config: Mapping[str, Any]) -> list[str]:
    """Names of the config groups that tell runs apart."""
    groups = (run_config.get(group) for group in ("recipe", "model", "data"))
    return [str(group["name"])[:64] for group in groups if isinstance(group, Mapping) and group.get("name")]


def _known(values: Mapping[str, Number]) -> dict[str, float | int]:
    """Without numbers that do not apply: W&B would plot them as text."""
    return {name: value for name, value in values.items() if value is not None and not math.isnan(value)}
