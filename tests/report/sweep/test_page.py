"""The page of a sweep and its markdown, as the command writes them."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from judgekit.cli import main
from judgekit.report.sweep.charts import Spot, amount, chart
from judgekit.report.sweep.page import build_sweep_report, sweep_markdown
from tests.report.run_folder import HOSTILE, make_run
from tests.report.sweep_folder import make_sweep


class Reader(HTMLParser):
    """Text, tags and attributes as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    grid = {"recipe.plans": [1, 3], "recipe.executions": [2, 4], "loss": ["dpo", HOSTILE], "seed": [1, 2]}
    name = f"sweep {HOSTILE[:40]}"
    return make_sweep(tmp_path_factory.mktemp("page") / "sweep", grid, pairs=20, failed={5}, missing={15}, name=name)


@pytest.fixture(scope="module")
def page(folder: Path) -> Reader:
    return Reader(build_sweep_report(folder).read_text(encoding="utf-8"))


def test_it_says_what_came_out(page: Reader, folder: Path) -> None:
    text = " ".join(page.text.split())
    for expected in (
        "14 done, 1 failed, 1 never started",
        "Consistent accuracy of 14 finished runs with 2 seeds, by the judge dpo1.",
        f"stage train/dpo1: loss is not finite {HOSTILE}",
        "plans × executions",
        "Verdicts for the first position",
        "Main effects on consistent accuracy",
        "There are 3 comparisons",
        "Consistent accuracy by tokens",
        "Judges along the recipe",
    ):
        assert expected in text
    links = {value for tag, name, value in page.attributes if (tag, name) == ("a", "href")}
    assert links == {f"{num}-run/report.html" for num in range(16) if num not in (5, 15)}
    assert page.tags.count("figure") == 3 + 3 * 3 + 2


def test_outside_text_stays_text(page: Reader) -> None:
    assert page.tags.count("script") == 1
    assert not {"img", "iframe", "object", "embed", "link", "base"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not [one for one in page.attributes if one[1] in ("src", "srcset", "action")]
    policy = next(value for _, name, value in page.attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'")


def test_markdown_has_settings_and_effects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_sweep(tmp_path / "sweep", {"bias.rho": [0, 0.1], "loss": ["a|b"], "seed": [1, 2]}, pairs=20)
    assert main(["report", str(folder), "--format", "md"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "**arena**, consistent accuracy and others, % with 95 % intervals over seeds"
    assert lines[2].startswith("| rho | runs | consistent accuracy | accuracy |")
    assert lines[4].count("**") == 2 and lines[4].endswith("| 49,000 | 85 |")
    assert lines[-1].startswith("| rho: 0 → 0.1 | 2 | +") or lines[-1].startswith("| rho: 0 → 0.1 | 2 | −")
    assert not (folder / "report.html").exists()
    assert main(["report", str(folder), "--metric", "accuracy", "--judge", "sft"]) == 0
    assert capsys.readouterr().out == f"{folder}/report.html\n"
    assert "by the judge sft" in (folder / "report.html").read_text()
    for wrong in (["--judge", "dpo7"], ["--metric", "charm"]):
        assert main(["report", str(folder), *wrong]) == 2
        assert "Judges: dpo1, sft" in capsys.readouterr().err


def test_a_run_has_markdown_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run")
    assert main(["report", str(run), "--format", "md"]) == 0
    assert capsys.readouterr().out.startswith("**starter**, % with 95 % intervals\n")
    assert main(["report", str(run), "--judge", "sft"]) == 2
    assert "not a sweep" in capsys.readouterr().err


def test_a_sweep_that_has_just_begun(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "sweep", {"seed": [1, 2]}, missing={0, 1})
    page = Reader(build_sweep_report(folder).read_text(encoding="utf-8"))
    assert "2 never started" in page.text and "figure" not in page.tags


def test_runs_that_are_all_alike_have_no_keys(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "sweep", {"seed": [1, 2, 3]}, pairs=6)
    page = Reader(build_sweep_report(folder).read_text(encoding="utf-8"))
    assert "figure" not in page.tags and "3 finished runs with 3 seeds" in " ".join(page.text.split())


def test_charts_keep_to_their_area() -> None:
    spots = [Spot(x, y, (y - 0.2, y + 0.2), "") for x, y in ((1e-6, 0.1), (1e-5, 0.5), (1e-4, 0.95))]
    spots = [Spot(s.x, s.y, (max(0.0, s.interval[0]), min(1.0, s.interval[1])), "") for s in spots if s.interval]
    drawn = chart([("a", spots), ("b", spots)], "lr", rates=True, at=[1e-6, 1e-5, 1e-4], reference=0.5)
    xs = [x for x, _ in drawn.x_ticks]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2), "spread by their ratios"
    for line in drawn.lines:
        for mark in line.marks:
            assert drawn.left <= mark.x <= drawn.right and 0 <= mark.high <= mark.y <= mark.low <= drawn.bottom
    flat = chart([("", [Spot(1, 0.5, None, "")])], "n", rates=True)
    assert flat.lines[0].marks[0].y > 0 and flat.x_ticks == () or flat.x_ticks
    assert [amount(value) for value in (12, 12_300, 3.4e6, 2e9)] == ["12", "12.3k", "3.4M", "2G"]


def test_bias_reports_stand_side_by_side(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "sweep", {"bias.rho": [0, 0.4], "seed": [1]}, pairs=6)
    for run, chars in enumerate((28.2, 26.1)):
        path = folder / f"{run}-run" / "metrics.json"
        own = {"bias/m1/chosen_response_chars": chars, "bias/m1/first_position": 0.682, "bias/m2/mean_score": None}
        path.write_text(json.dumps(json.loads(path.read_text()) | own | ({"bias/m2/mean_score": 4.0} if run else {})))
    assert sweep_markdown(folder).splitlines()[-5:] == [
        "",
        "| rho | m1: chosen, characters | m1: first position wins, % | m2: mean score |",
        "|---|---:|---:|---:|",
        "| 0 | 28.2 | 68.2 | – |",
        "| 0.4 | 26.1 | 68.2 | 4.00 |",
    ]
    page = build_sweep_report(folder).read_text(encoding="utf-8")
    assert "<h2>Bias reports</h2>" in page and page.count('<td class="num" data-value="26.1">26.1</td>') == 1
