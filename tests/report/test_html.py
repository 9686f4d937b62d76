"""The HTML report: what it says, and that outside text in it is only text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from judgekit.errors import DataError
from judgekit.report.html import build_report
from judgekit.report.shown_text import LONGEST_TEXT, count, duration, moment, plain, shortened
from tests.report.run_folder import HOSTILE, make_evaluation, make_run


class Reader(HTMLParser):
    """Collects elements, attributes and text as a browser would see them."""

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
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_report(make_run(tmp_path_factory.mktemp("report") / "run")).read_text(encoding="utf-8")


def test_it_says_what_the_run_was(html: str) -> None:
    text = re.sub(r"[ \n]+", " ", Reader(html).text)
    for expected in (
        "demo finished",
        "Started2026-11-21 18:04:05 UTC",
        "Took21 min 30 s",
        "judgekit run experiment=demo seed=2",
        "0123456789ab with changes",
        "64.0 [54.0, 74.0]",
        "Left out: no path given",
        "3 identical responses",
        "12\u2009288 judgments",
        "1\u2009220\u2009012",
        "The seed model gave no valid verdict.",
        "transformers5.19.0",
        "report_judgments: 80",
    ):
        assert expected in text
    assert "empty response" not in text  # none were dropped
    assert html.count('<svg class="curve"') == 9


def test_outside_text_stays_text(html: str) -> None:
    page = Reader(html)
    assert page.tags.count("script") == 2  # its own, and the data that the browser does not run
    assert ("script", "type", "application/gzip") in page.attributes
    assert not {"img", "iframe", "object", "embed", "link", "base"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u2028\u2029\u202e]", html)


def test_nothing_can_be_fetched_and_only_its_own_script_runs(html: str) -> None:
    page = Reader(html)
    assert not [found for found in page.attributes if found[1] in ("src", "href", "srcset", "action")]
    assert "url(" not in html and "@import" not in html
    policy = next(value for _, name, value in page.attributes if name == "content" and "default-src" in value)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'")


def test_hostile_names_stay_text_too(tmp_path: Path) -> None:
    hostile = {"name": HOSTILE, "command": HOSTILE, "notes": [HOSTILE], "error": HOSTILE, "status": HOSTILE}
    stage = {"name": HOSTILE, "digest": '" onload="x', "status": "computed", "dropped": {HOSTILE: 1}}
    run_dir = make_run(tmp_path, **hostile, stages=[stage], judges=["dpo2", HOSTILE])
    page = Reader(build_report(run_dir).read_text(encoding="utf-8"))
    assert page.tags.count("script") == 2
    assert "img" not in page.tags
    assert HOSTILE in page.text
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_a_run_that_has_just_begun_has_no_empty_sections(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"name": "new", "status": "running", "current_stage": "pairs"}))
    page = Reader(build_report(tmp_path).read_text(encoding="utf-8"))
    assert not {"h2", "table", "section", "article"} & set(page.tags)
    assert "running" in page.text and "Stagepairs" in page.text


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, status="failed", error="stage train/dpo2: loss is not finite", finished=None)
    assert "stage train/dpo2: loss is not finite" in build_report(run_dir).read_text(encoding="utf-8")


def test_the_page_says_how_many_judgments_it_leaves_out(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    for most, said in (
        (80, "80 judgments of 8 pairs; 40 judgments of 4 pairs are left out"),
        (25, "20 judgments of 2 pairs; 100 judgments of 10 pairs are left out"),
        (120, "All 120 judgments of 12 pairs."),
    ):
        (run_dir / "config.yaml").write_text(f"logger:\n  report_judgments: {most}\n")
        assert said in Reader(build_report(run_dir).read_text(encoding="utf-8")).text
    (run_dir / "config.yaml").write_text("logger:\n  report_judgments: 0\n")
    assert "Judgments" not in Reader(build_report(run_dir).read_text(encoding="utf-8")).text
    (run_dir / "config.yaml").unlink()
    assert "All 120 judgments" in build_report(run_dir).read_text(encoding="utf-8")


def test_figures_appear_where_the_verdicts_allow(tmp_path: Path) -> None:
    folder = make_evaluation(tmp_path, 12, ["plain", "sure", "scorer", "many"])
    page = Reader(build_report(folder).read_text(encoding="utf-8"))
    for figure in (
        "Accuracy by order",
        "Agreement of judges",
        "Scores of scorer",
        "Reliability of sure",
        "Majority of many",
    ):
        assert page.text.count(figure) == 2  # in each of two benchmarks
    for figure in ("Scores of plain", "Reliability of scorer", "Majority of sure"):
        assert figure not in page.text
    alone = make_evaluation(tmp_path / "alone", 4, ["plain"])
    assert "Agreement of judges" not in build_report(alone).read_text(encoding="utf-8")


def test_lone_surrogates_and_endless_texts_can_be_written(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, notes=["half \ud83d pair"], error="x" * 50_000)
    html = build_report(run_dir).read_text(encoding="utf-8")
    assert "half ⟨D83D⟩ pair" in html
    assert "x" * LONGEST_TEXT + " … (44,000 more characters)" in html
    assert not list(run_dir.glob("*.partial"))


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"manifest\.json"):
        build_report(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(DataError, match="not a JSON object"):
        build_report(tmp_path)


def test_formats() -> None:
    assert [duration(seconds) for seconds in (None, 0.25, 59.6, 200, 7500)] == [
        "",
        "0.2 s",
        "60 s",
        "3 min 20 s",
        "2 h 05 min",
    ]
    assert [count(None), count(1234567)] == ["–", "1\u2009234\u2009567"]
    assert moment("2026-11-21T18:04:05.1+02:00") == "2026-11-21 18:04:05 UTC+02:00"
    assert moment("yesterday") == "yesterday"
    assert plain("a\r\nb\x1b[0m") == "a\nb⟨1B⟩[0m"
    assert plain("\u200f\ufeffa\udead") == "⟨200F⟩⟨FEFF⟩a⟨DEAD⟩"
    assert shortened("short") == "short"
    assert shortened("\x00" * 5, 3) == "⟨00⟩⟨00⟩⟨00⟩ … (2 more characters)"
