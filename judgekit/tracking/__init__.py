"""Records of a run: local files always, W&B, TensorBoard or CSV beside them when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judgekit.schema.logger import LoggerConfig
from judgekit.tracking.base import FanOut, Number, Place, SeriesPoint, Status, Tracker
from judgekit.tracking.local_files import LocalTracker, read_series

__all__ = [
    "LocalTracker",
    "Number",
    "Place",
    "SeriesPoint",
    "Status",
    "Tracker",
    "make_tracker",
    "read_series",
]


def make_tracker(
    config: LoggerConfig, run_dir: Path, run_config: Mapping[str, Any], name: str, place: Place | None = None
) -> Tracker:
    """The trackers a run asks for.

    :param run_dir: the run's folder; another logger's files go to a folder of its name in it
    :param run_config: the resolved configuration as plain values
    :param place: where the run belongs; ``config.group`` wins over its sweep's name
    """
    earlier = read_series(run_dir)
    local = LocalTracker(run_dir)
    place = place or Place()
    if config.name == "local":
        return local
    if config.name == "wandb":
        from judgekit.tracking.wandb_run import WandbTracker

        return FanOut([local, WandbTracker(config, run_dir, run_config, name=name, place=place, earlier=earlier)])
    from judgekit.tracking.lightning_logs import LightningTracker

    return FanOut([local, LightningTracker(config.name, run_dir, run_config, place=place, earlier=earlier)])
