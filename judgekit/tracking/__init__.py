"""Records of a run: local files always, W&B when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judgekit.schema.config import LoggerConfig
from judgekit.tracking.base import FanOut, Number, Status, Tracker
from judgekit.tracking.local import LocalTracker, Point, read_series, read_summary

__all__ = [
    "LocalTracker",
    "Number",
    "Point",
    "Status",
    "Tracker",
    "make_tracker",
    "read_series",
    "read_summary",
]


def make_tracker(
    config: LoggerConfig, run_dir: Path, run_config: Mapping[str, Any], name: str, group: str | None
) -> Tracker:
    """The trackers a run asks for.

    :param run_dir: the run's folder; W&B's own files go to ``wandb/`` in it
    :param run_config: the resolved configuration as plain values
    :param group: the sweep's name, None for a single run; ``config.group`` wins over it
    """
    earlier = read_series(run_dir)
    local = LocalTracker(run_dir)
    if config.name == "local":
        return local
    from judgekit.tracking.wandb_run import WandbTracker

    return FanOut([local, WandbTracker(config, run_dir, run_config, name=name, group=group, earlier=earlier)])
