"""``judgekit check``: every mistake of a configuration, or the stages it would run and what they cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from judgekit import planning
from judgekit.costs import PlannedStage, print_plan
from judgekit.errors import ConfigError
from judgekit.schema.composition import Composer
from judgekit.schema.config import RunConfig


def check(overrides: Sequence[str], extra: Path | None = None) -> None:
    """Print the plan of a run as a table.

    :param extra: a folder of config groups searched first
    :raises ConfigError: with every mistake
    """
    config, stages = _planned(overrides, extra)
    print_plan(stages, config.name)


def check_as_json(overrides: Sequence[str], extra: Path | None = None) -> bool:
    """Print one JSON object, ``{"mistakes": [...], "stages": [...]}``; one of the lists is empty.

    A mistake has the fields of ``Problem``; a stage ``name``, ``digest``, ``stored``, at most so many ``generations``
    and ``tokens``, and the fields it ``reads`` (sections stand for all their fields).

    :return: whether there are no mistakes
    """
    try:
        _, stages = _planned(overrides, extra)
    except ConfigError as error:
        print(json.dumps({"mistakes": [asdict(problem) for problem in error.problems], "stages": []}, indent=2))
        return False
    rows = [
        {
            "name": stage.name, "digest": stage.digest, "stored": stage.stored, "generations": stage.generations,
            "tokens": stage.tokens, "reads": list(stage.reads),
        }
        for stage in stages
    ]  # fmt: skip
    print(json.dumps({"mistakes": [], "stages": rows}, indent=2))
    return True


def _planned(overrides: Sequence[str], extra: Path | None) -> tuple[RunConfig, list[PlannedStage]]:
    composer = Composer(extra=extra)
    job = composer.job(overrides)
    planning.refuse_unread([job], composer)
    assert isinstance(job.config, RunConfig)
    return job.config, planning.plan(job.config)
