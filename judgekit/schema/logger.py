"""``logger``: where records go beside the local files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judgekit.schema.fields import setting

_TOLD = "what is told of results, not the results"


@dataclass(frozen=True)
class LoggerConfig:
    """``logger``: where records go beside the local files."""

    name: Literal["local", "wandb", "tensorboard", "csv"] = setting(
        "local",
        "local: files only; wandb: also a W&B run; tensorboard, csv: also Lightning's logger of that name",
        unkeyed=_TOLD,
    )
    mode: Literal["offline", "online"] = setting("offline", "W&B mode", unkeyed=_TOLD)
    project: str = setting("judgekit", "W&B project", unkeyed=_TOLD)
    entity: str | None = setting(None, "W&B team or user", unkeyed=_TOLD)
    group: str | None = setting(None, "W&B group; null: the sweep's or the run's name", unkeyed=_TOLD)
    table_rows: int = setting(200, "judgments in W&B tables, at most", ge=0, unkeyed=_TOLD)
    artifact_gb: float = setting(
        2.0,
        "W&B: data and judges up to this size are uploaded, of larger ones only the place is noted; GB",
        ge=0.0,
        unkeyed=_TOLD,
    )
    report_judgments: int = setting(20_000, "judgments to browse in the report, at most", ge=0, unkeyed=_TOLD)
