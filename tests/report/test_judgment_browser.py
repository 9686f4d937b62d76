"""Which judgments the browser gets, how they are summed up, and that they arrive as they are."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from judgekit.evaluation.verdict_metrics import score
from judgekit.report import judgment_browser
from judgekit.report.judged_benchmark import JudgedBenchmark, read_benchmark
from judgekit.report.judgment_browser import Outcome, browser, entries, outcome
from judgekit.rows import Order, ResponsePair, Verdict, write_rows
from judgekit.verdict_rows import VerdictRow, write_verdicts
from tests.report.run_folder import CONTROL, HOSTILE, OPENERS, make_evaluation


def row(pair: str, order: Order, verdict: Verdict | None, sample: int = 0, text: str = "said") -> VerdictRow:
    return VerdictRow(pair, order, sample, verdict, None if verdict else "truncated: at 9 tokens", text)


def pair(id: str, label: Verdict | None = "A") -> ResponsePair:
    return ResponsePair(id, "do it", "yes", "no", label)


def unpacked(packed: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(packed)))


@pytest.mark.parametrize(
    ("label", "ab", "ba", "expected"),
    [
        ("A", "A", "A", "right"),
        ("A", "B", "B", "wrong"),
        ("A", "tie", "tie", "tie"),
        ("A", "A", "B", "inconsistent"),
        ("A", "tie", "A", "inconsistent"),
        ("A", None, "A", "invalid"),
        ("tie", "tie", "tie", "right"),
        ("tie", "A", "A", "wrong"),
        (None, "A", "A", "unlabelled"),
        (None, "A", "B", "inconsistent"),
    ],
)
def test_outcomes(label: Verdict | None, ab: Verdict | None, ba: Verdict | None, expected: Outcome) -> None:
    assert outcome(label, [ab, ba]) == expected


def test_the_first_sample_of_each_order_counts_and_all_are_held() -> None:
    rows = [row("p", "ab", "B", sample=1), row("p", "ba", "A", sample=3), row("p", "ab", "A", sample=0)]
    (entry,) = entries(JudgedBenchmark("b", (pair("p"),), {"judge": rows}))
    (judged,) = entry.judged
    assert judged.outcome == "right"
    assert [(said.order, said.sample) for said in judged.verdicts] == [("ab", 0), ("ab", 1), ("ba", 3)]


def test_an_order_without_a_verdict_is_invalid_as_in_the_metrics() -> None:
    rows = [row("p", "ab", "A"), row("p", "ba", None), row("q", "ab", "A")]
    held = entries(JudgedBenchmark("b", (pair("p"), pair("q"), pair("r")), {"judge": rows, "silent": []}))
    assert [(entry.judged[0].outcome, entry.judged[0].reasons) for entry in held] == [
        ("invalid", ("truncated",)),
        ("invalid", ("missing",)),
        ("invalid", ("missing",)),
    ]
    assert [len(entry.judged) for entry in held] == [1, 1, 1]  # a judge without verdicts was not asked
    (alone,) = entries(JudgedBenchmark("b", (pair("p"),), {"judge": [row("p", "ba", "A")]}))
    assert alone.judged[0].outcome == "right"  # one order was judged at all


def test_outcomes_add_up_to_the_metrics(tmp_path: Path) -> None:
    folder = make_evaluation(tmp_path, 60)
    found = read_benchmark(folder, "arena", ["plain", "sure", "scorer"])
    for place, (judge, rows) in enumerate(found.verdicts.items()):
        counts = Counter(entry.judged[place].outcome for entry in entries(found))
        assert entries(found)[0].judged[place].judge == judge
        numbers = score(found.pairs, rows, resamples=2).overall
        assert numbers["consistent_accuracy"] == pytest.approx(counts["right"] / 60)
        assert numbers["consistency"] == pytest.approx((counts["right"] + counts["wrong"] + counts["tie"]) / 60)


def mixed(right: int, wrong: int, invalid: int, name: str = "b") -> JudgedBenchmark:
    counts: dict[Verdict | None, int] = {"A": right, "B": wrong, None: invalid}
    named = [verdict for verdict, count in counts.items() for _ in range(count)]
    pairs = tuple(pair(f"p{place}") for place in range(len(named)))
    first = [row(held.id, "ab", "B") for held in pairs]
    last = [row(f"p{place}", order, verdict) for place, verdict in enumerate(named) for order in ("ba", "ab")]
    return JudgedBenchmark(name, pairs, {"first": first, "last": last})


def test_everything_is_held_in_file_order_where_it_fits() -> None:
    found = browser([mixed(5, 2, 3)], 30)
    assert found is not None
    assert (found.judgments, found.left_out, found.pairs, found.pairs_left_out) == (30, 0, 10, 0)
    assert [held["id"] for held in unpacked(found.packed)["pairs"]] == [f"p{place}" for place in range(10)]


def test_what_does_not_fit_is_counted_and_the_rest_mixes_outcomes_of_the_last_judge() -> None:
    benchmarks = [mixed(50, 2, 9), mixed(1, 1, 1, "small")]
    found = browser(benchmarks, 45)
    assert found is not None and found == browser(benchmarks, 45)
    assert (found.judgments, found.left_out, found.pairs, found.pairs_left_out) == (45, 64 * 3 - 45, 15, 49)
    held = unpacked(found.packed)
    last = [said for said in held["judged"] if held["judges"][said["judge"]] == "last"]
    of_each = Counter((held["pairs"][said["pair"]]["benchmark"], said["outcome"]) for said in last)
    assert of_each == {
        (0, "right"): 5,
        (0, "wrong"): 2,
        (0, "invalid"): 5,
        (1, "right"): 1,
        (1, "wrong"): 1,
        (1, "invalid"): 1,
    }
    order = [(said["benchmark"], int(said["id"][1:])) for said in held["pairs"]]
    assert order == sorted(order)


def test_characters_are_bounded_too_and_a_smaller_pair_still_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgment_browser, "MOST_CHARACTERS", 100)
    rows = [row("long", "ab", "A", text="x" * 200), row("short", "ab", "A")]
    found = browser([JudgedBenchmark("b", (pair("long"), pair("short")), {"judge": rows})])
    assert found is not None
    assert ([held["id"] for held in unpacked(found.packed)["pairs"]], found.left_out) == (["short"], 1)


def test_texts_arrive_whole_visible_and_unable_to_end_an_element() -> None:
    text = HOSTILE + OPENERS + CONTROL + "\ud83d" + "long " * 40_000
    benchmark = JudgedBenchmark(HOSTILE, (pair(HOSTILE),), {HOSTILE: [row(HOSTILE, "ab", "A", text=text)]})
    found = browser([benchmark])
    assert found is not None
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", found.packed)
    held = unpacked(found.packed)
    (said,) = held["judged"][0]["verdicts"]
    assert said["text"].startswith(HOSTILE) and said["text"].endswith("long " * 40_000)
    assert "nul⟨00⟩ bell⟨07⟩ line⟨2028⟩sep bidi⟨202E⟩evil⟨D83D⟩" in said["text"]
    assert held["judges"] == held["benchmarks"] == [HOSTILE] == [held["pairs"][0]["id"]]


def test_nothing_is_shown_where_nothing_was_judged_or_wanted(tmp_path: Path) -> None:
    assert browser([read_benchmark(tmp_path, "b", ["judge"])]) is None
    assert browser([JudgedBenchmark("b", (pair("p"),), {})]) is None
    assert browser([mixed(1, 0, 0)], 0) is None


def test_verdicts_on_unknown_pairs_are_left_out(tmp_path: Path) -> None:
    for folder in ("pairs", "verdicts"):
        (tmp_path / folder).mkdir()
    write_rows(tmp_path / "pairs" / "b.jsonl", [pair("p")])
    write_verdicts(tmp_path / "verdicts" / "judge.b.jsonl", [row("p", "ab", "A"), row("other", "ab", "A")])
    held = read_benchmark(tmp_path, "b", ["judge", "absent"])
    assert {judge: [said.id for said in rows] for judge, rows in held.verdicts.items()} == {"judge": ["p"]}


def test_a_thought_stands_apart_from_what_it_leads_to() -> None:
    rows = [row("p", "ab", "A", text="<think>[[B]]? No.</think>\n\n[[A]]"), row("p", "ba", None, text="<think>Hm")]
    held = browser([JudgedBenchmark("b", (pair("p"),), {"judge": rows})])
    assert held is not None
    said = unpacked(held.packed)["judged"][0]["verdicts"]
    assert [(one.get("thought"), one["text"]) for one in said] == [("[[B]]? No.", "[[A]]"), ("Hm", "")]
