"""A store that holds another run gives what an empty one gives, for a few dozen changes of every recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stages.test_keys import compare_stores
from tests.stages.world import RUNS
from tests.training.tiny import make_model

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model", max_position_embeddings=4096)


@pytest.mark.parametrize("recipe", RUNS)
def test_dozens_of_changes(recipe: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compare_stores(recipe, tiny, tmp_path, monkeypatch, draws=24, together=2)
