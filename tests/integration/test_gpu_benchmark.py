"""The GPU benchmark on a toy model, without a GPU."""

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


def test_parts_report_and_a_failing_one_stops_no_other(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--tiny", "--device", "cpu", "-o", str(tmp_path / "out.json")]
    command += ["--seed-model", str(make_model(tmp_path / "seed")), "--parts", "prepare", "dpo", "judge", "full"]
    path = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(command, cwd=PROJECT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert found["dpo"]["steps"] == 4 and found["dpo"]["losses"][0] == pytest.approx(0.693147, abs=1e-6)
    assert len(found["full"]["losses"]) == 4
    assert "failed" in found["judge"] or found["judge"]["texts"] == 4
    assert "sample" not in found
