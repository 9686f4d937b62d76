"""Packages with plugins, as pip leaves them, and commands in processes that find them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from judgekit.registry import GROUP

PROJECT = Path(__file__).parents[1]
SAMPLE = PROJECT / "tests" / "sample_package"
COMMAND = "import sys; from judgekit.cli import main; sys.exit(main())"


def install(folder: Path, module: str, source: str | None = None) -> None:
    """What pip leaves of a package with a plugin.

    :param source: text of its module; None: it is on the path already
    """
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nmine = {module}\n")
    if source is not None:
        (folder / f"{module}.py").write_text(source)


def fresh(folder: Path, *arguments: str, path: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, since ``bias`` has a field for every control there is when it is imported.

    :param folder: where it runs
    :param path: folders of installed packages
    """
    found = os.pathsep.join(map(str, [*path, PROJECT, PROJECT / "launchers"]))
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env={**os.environ, "PYTHONPATH": found}, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip


def judgekit(folder: Path, *arguments: str, path: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A command of judgekit in a fresh process."""
    return fresh(folder, "-c", COMMAND, *arguments, path=path)


def planned(folder: Path, *overrides: str, path: tuple[Path, ...] = ()) -> dict[str, dict[str, Any]]:
    """The stages of ``judgekit check --json`` by name."""
    done = judgekit(folder, "check", "--json", *overrides, path=path)
    assert done.returncode == 0, done.stdout + done.stderr
    return {stage["name"]: stage for stage in json.loads(done.stdout)["stages"]}
