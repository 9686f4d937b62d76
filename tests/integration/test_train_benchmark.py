"""judgekit against the real TRL on the same rows: the loss curves are the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.training.tiny import make_model

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("shape", ["evalplanner", "sft"])
def test_the_loss_curves_are_those_of_trl(shape: str, tmp_path: Path) -> None:
    base = make_model(tmp_path / "tiny", max_position_embeddings=4096)
    command = [sys.executable, "-m", "benchmarks.train", "--quick", "--shape", shape, "--dtype", "float32"]
    command += ["--steps", "6", "--batch-size", "4", "--repeats", "1", "--model", str(base)]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    curves = found["losses"]
    assert len(curves["judgekit"]) == len(curves["trl"]) == 6
    assert len(set(curves["trl"])) == 6, "every step sees other rows"
    assert found["largest_relative_loss_difference"] < 1e-4
    assert found["speedup"] == pytest.approx(found["trl"]["seconds"] / found["judgekit"]["seconds"], abs=0.02)
    tried = [result["settings"] for result in found["trl"]["tried"]]
    assert found["trl"]["settings"] in tried and len(tried) >= 3
    assert 0 < found["judgekit"]["peak_memory_mib"] < 10_000
