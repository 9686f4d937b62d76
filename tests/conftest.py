"""Fixtures that all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Path of a real data set by its name, for example ``shared_data("llmbar")``.

    The folder is ``JUDGEKIT_DATA``, by default ``../shared/data`` beside the project. Continuous integration
    must have it; elsewhere a test that needs it is skipped.
    """
    root = Path(os.environ.get("JUDGEKIT_DATA", PROJECT.parent / "shared" / "data"))

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            reason = f"no real data at {path}; point the environment variable JUDGEKIT_DATA at the folder that holds it"
            if "CI" in os.environ:
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return find
