"""The judge that one word names, as Python and the commands take it."""

from __future__ import annotations

import re
from pathlib import Path

from judgekit.errors import ConfigError, ModelError
from judgekit.judges import COMMIT, KINDS
from judgekit.schema.judges import JudgeConfig


def judge_config(source: str | Path) -> JudgeConfig:
    """The judge that one word names: a folder, ``ORGANISATION/NAME@COMMIT``, or a file in conf/model or conf/judge.

    :raises ModelError: it names none of these
    """
    hub_id, _, commit = str(source).partition("@")
    if Path(source).is_dir():
        return JudgeConfig(path=str(source))
    if "/" in hub_id and COMMIT.fullmatch(commit):
        return JudgeConfig(hub=str(source))
    return _configured(str(source))


def _configured(name: str) -> JudgeConfig:
    from omegaconf import OmegaConf

    from judgekit.schema.composition import Composer, conf_dir
    from judgekit.schema.validation import build

    groups = {"judge": "judge", "model@judge.model": "model"}
    found = [key for key, folder in groups.items() if (conf_dir() / folder / f"{name}.yaml").is_file()]
    if not re.fullmatch(r"\w[\w.-]*", name) or not found:
        raise ModelError(f"{name} is not a judge{'' if Path(name).exists() else ': there is no such folder'}. {KINDS}.")
    values = OmegaConf.to_container(Composer(name="eval").compose([f"{found[0]}={name}"]).judge, resolve=True)
    assert isinstance(values, dict)
    config, problems = build(JudgeConfig, {str(key): value for key, value in values.items()}, "judge")
    if problems:
        raise ConfigError(problems)
    return config
