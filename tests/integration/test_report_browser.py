"""The report in a real browser: it works without a network, stays responsive, and text in it is only text."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from judgekit.report.html import build_report
from judgekit.report.judged_benchmark import read_benchmark
from judgekit.report.judgment_browser import OUTCOMES, JudgedPair, entries
from judgekit.report.shown_text import plain
from judgekit.rows import ResponsePair, write_rows
from judgekit.verdict_rows import VerdictRow, write_verdicts
from tests.report.run_folder import CONTROL, HOSTILE, OPENERS, make_evaluation, make_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.integration

JUDGES = ("plain", "sure", "scorer", "many")
SECONDS_TO_LOAD = 10.0
"""Until 10,000 judged pairs can be browsed; ``SECONDS_TO_ACT`` until a filter, a sort or a search shows its result.

Both leave room for other work on the machine: alone it takes 1 s and less than 0.1 s, a first search 0.2 s.
"""
SECONDS_TO_ACT = 2.0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report(make_run(tmp_path_factory.mktemp("browser") / "run"))


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report(make_evaluation(tmp_path_factory.mktemp("browser") / "evaluation", 40, JUDGES))


class Visit:
    """A page that was opened, and everything that should not happen on it."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.page: Page = browser.new_page(**options)
        self.page.set_default_timeout(20_000)
        self.asked: list[str] = []
        self.trouble: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.trouble.append(message.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("dialog", lambda dialog: self.trouble.append(dialog.message))

    def open(self, report: Path, fragment: str = "") -> Page:
        self.page.goto(report.as_uri() + fragment)
        self.page.wait_for_selector("#list [role=option]")
        return self.page


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Any message on the console, any error and any request beside the page itself fails the test."""
    made = Visit(chromium, viewport={"width": 1240, "height": 900})
    yield made
    asked = {url.partition("#")[0] for url in made.asked}
    made.page.close()
    assert made.trouble == []
    assert len(asked) <= 1 and all(url.startswith("file:") for url in asked)


def count(page: Page) -> int:
    """Judged pairs that fit, as the page says."""
    return int(page.inner_text("#filters output").split(" of ")[0].replace(",", ""))


def wait_for_count(page: Page, wanted: int) -> None:
    """A search begins when typing ends."""
    said = "n => document.querySelector('#filters output').textContent.startsWith(n)"
    page.wait_for_function(said, arg=f"{wanted} of")


def judged_pairs(report: Path, *benchmarks: str) -> list[tuple[ResponsePair, str, JudgedPair]]:
    """What the page should list, in its order: pair, benchmark, judged."""
    held = [entry for name in benchmarks for entry in entries(read_benchmark(report.parent, name, JUDGES))]
    return [(entry.pair, entry.benchmark, judged) for entry in held for judged in entry.judged]


def address(benchmark: str, judge: str, pair: str) -> str:
    return "#judgment/" + "/".join(quote(plain(part), safe="!*'()~") for part in (benchmark, judge, pair))


def fragment(page: Page) -> str:
    return str(page.evaluate("location.hash"))


def choices(page: Page, name: str) -> dict[str, str]:
    """Value by label without count of a filter's options."""
    options = page.eval_on_selector_all(f"[name={name}] option", "all => all.map((one) => [one.text, one.value])")
    return {re.sub(r" \(\d+\)$", "", text): value for text, value in options}


def test_filters_show_what_fits_and_say_how_many_would(visit: Visit, evaluation: Path) -> None:
    page = visit.open(evaluation)
    held = judged_pairs(evaluation, "arena", "exam")
    assert count(page) == len(held) == 320
    judges, benchmarks, subsets = (choices(page, name) for name in ("judge", "benchmark", "subset"))
    for judge, benchmark, subset, outcome in itertools.product(
        ("all", "sure"), ("all", "exam"), ("all", "maths"), ("all", *OUTCOMES)
    ):
        fitting = [
            judged.outcome
            for pair, name, judged in held
            if judge in ("all", judged.judge) and benchmark in ("all", name) and subset in ("all", pair.subset)
        ]
        page.select_option("[name=outcome]", value="")
        page.select_option("[name=judge]", value=judges[judge])
        page.select_option("[name=benchmark]", value=benchmarks[benchmark])
        page.select_option("[name=subset]", value=subsets[subset])
        wanted = fitting.count(outcome) if outcome != "all" else len(fitting)
        labels = page.eval_on_selector_all("[name=outcome] option", "all => all.map((one) => one.text)")
        assert (f"{outcome} ({wanted})" in labels) == (wanted > 0 and outcome != "all")
        if outcome != "all" and wanted:
            page.select_option("[name=outcome]", value=outcome)
        assert count(page) == (wanted if wanted else len(fitting))


def test_invalid_judgments_can_be_found_by_reason(visit: Visit, evaluation: Path) -> None:
    page = visit.open(evaluation)
    held = judged_pairs(evaluation, "arena", "exam")
    for reason in ("missing verdict", "truncated", "ambiguous"):
        wanted = sum(reason in judged.reasons for _, _, judged in held)
        page.select_option("[name=outcome]", value=f"invalid: {reason}")
        assert count(page) == wanted > 0
        assert reason in page.inner_text("#detail .judgment h3")


def test_search_finds_text_of_pairs_and_of_judgments(visit: Visit, evaluation: Path) -> None:
    page = visit.open(evaluation)
    held = judged_pairs(evaluation, "arena", "exam")
    judgment = held[37][2].verdicts[0].text[20:50]
    for text, wanted in (("QUESTION 7.", 2 * len(JUDGES)), (judgment.upper(), 1), ("no such text", 0)):
        page.fill("[name=search]", text)
        wait_for_count(page, wanted)
    assert page.inner_text("#detail") == "No judgment fits."
    page.click("button[type=reset]")
    assert count(page) == len(held) and page.input_value("[name=search]") == ""


def test_sorting_orders_the_list(visit: Visit, evaluation: Path) -> None:
    page = visit.open(evaluation)
    held = judged_pairs(evaluation, "arena", "exam")
    sizes = [(sum(len(row.text) for row in judged.verdicts), pair.id, judged.judge) for pair, _, judged in held]
    page.select_option("[name=sort]", "longest judgment")
    _, longest, judge = max(sizes)
    assert fragment(page) == address(longest.partition("-")[0], judge, longest)
    page.select_option("[name=sort]", "by outcome")
    page.focus("#list")
    outcomes = []
    for _ in OUTCOMES:
        outcomes.append(page.inner_text("[aria-selected=true] .outcome"))
        page.keyboard.press("PageDown")
    assert outcomes == sorted(outcomes, key=OUTCOMES.index)
    assert "least sure" in choices(page, "sort")


def test_keys_walk_through_the_judgments(visit: Visit, evaluation: Path) -> None:
    page = visit.open(evaluation)
    order = [address(name, judged.judge, pair.id) for pair, name, judged in judged_pairs(evaluation, "arena", "exam")]
    for key, place in (("j", 1), ("j", 2), ("k", 1), ("k", 0), ("k", 0)):
        page.keyboard.press(key)
        assert fragment(page) in (order[place], "") and (fragment(page) or place == 0)
    page.focus("#list")
    for key, place in (("ArrowDown", 1), ("End", len(order) - 1), ("ArrowDown", len(order) - 1), ("Home", 0)):
        page.keyboard.press(key)
        assert fragment(page) == order[place]
        chosen = page.locator("[aria-selected=true]")
        assert chosen.get_attribute("id") == page.get_attribute("#list", "aria-activedescendant") == f"row-{place}"
        box, row = page.locator("#list").bounding_box(), chosen.bounding_box()
        assert box is not None and row is not None
        assert box["y"] - 1 <= row["y"] and row["y"] + row["height"] <= box["y"] + box["height"] + 1
    page.keyboard.press("/")
    page.keyboard.type("jj")
    assert page.input_value("[name=search]") == "jj"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement === document.body")


def test_an_address_opens_its_judgment_whatever_the_filters(visit: Visit, evaluation: Path) -> None:
    wanted = address("exam", "scorer", "exam-00017")
    page = visit.open(evaluation, wanted)
    assert "exam-00017" in page.inner_text("#detail .place")
    assert page.inner_text("#detail .judgment h3").startswith("scorer")
    assert page.get_attribute("#detail a.link", "href") == wanted
    page.select_option("[name=judge]", value=choices(page, "judge")["plain"])
    other = address("arena", "many", "arena-00003")
    page.evaluate("to => { location.hash = to; }", other)
    page.wait_for_function("() => document.querySelector('#detail .place').textContent.includes('arena-00003')")
    assert (fragment(page), page.input_value("[name=judge]"), count(page)) == (other, "", 320)
    page.evaluate("() => { location.hash = '#judgment/no/such/one'; }")
    assert "arena-00003" in page.inner_text("#detail .place")


def test_two_judges_are_compared_on_the_same_pair(visit: Visit, evaluation: Path) -> None:
    page = visit.open(evaluation)
    outcomes: dict[str, dict[str, str]] = {}
    for pair, _, judged in judged_pairs(evaluation, "arena", "exam"):
        outcomes.setdefault(pair.id, {})[judged.judge] = judged.outcome
    wanted = sum(said["plain"] != said["many"] for said in outcomes.values())
    assert page.locator("[name=differ]").is_hidden()
    page.select_option("[name=judge]", value=choices(page, "judge")["plain"])
    page.select_option("[name=other]", label="many")
    page.check("[name=differ]")
    assert count(page) == wanted
    heads = page.locator("#detail .judgment h3").all_inner_texts()
    assert [head.split()[0] for head in heads] == ["plain", "many"]
    shown = page.locator("#list [role=option]").first.locator(".outcome").all_inner_texts()
    assert len(shown) == 2 and shown[0] != shown[1]
    page.locator("#detail .judges button", has_text="sure").click()
    assert page.inner_text("#detail .judgment h3").startswith("sure")


def test_both_answers_and_both_orders_are_shown_with_their_verdicts(visit: Visit, evaluation: Path) -> None:
    held = judged_pairs(evaluation, "arena")
    pair, name, judged = next(one for one in held if one[2].outcome == "inconsistent" and one[2].judge == "many")
    page = visit.open(evaluation, address(name, judged.judge, pair.id))
    assert page.locator("#detail .answer .text").all_inner_texts() == [pair.response_a, pair.response_b]
    assert marked(page, "#detail .answer", "better") == [pair.label == "A", pair.label == "B"]
    assert page.locator("#detail pre").all_text_contents() == [row.text for row in judged.verdicts]
    said = page.locator("#detail .verdict").all_inner_texts()
    names = {"A": "A is better", "B": "B is better", "tie": "tie", None: "no verdict"}
    assert all(text.startswith(names[row.verdict]) for text, row in zip(said, judged.verdicts, strict=True))
    right = [row.verdict == pair.label for row in judged.verdicts if row.verdict]
    assert marked(page, "#detail .verdict:not(.none)", "hit") == right


def marked(page: Page, selector: str, name: str) -> list[bool]:
    """Which of the elements have a class."""
    return [name in str(one.get_attribute("class")).split() for one in page.locator(selector).all()]


@pytest.mark.parametrize("policy", [True, False])
def test_hostile_text_does_nothing_and_is_shown(chromium: Browser, tmp_path: Path, policy: bool) -> None:
    texts = [
        HOSTILE,
        OPENERS,
        CONTROL,
        "half \ud83d a pair",
        "{{ 7*7 }} ${alert(1)} javascript:alert(1)",
        HOSTILE + "x" * 200_000,
        "\u05d0\u05d1\u202e\u2066 right to left \u200f",
    ]
    report = hostile_report(tmp_path, texts)
    visit = Visit(chromium, bypass_csp=not policy)
    page = visit.open(report)
    for text in texts:
        assert page.locator("#detail .instruction").text_content() == plain(text)
        assert page.locator("#detail .answer .text").all_text_contents() == [plain(text)] * 2
        assert page.locator("#detail pre").all_text_contents() == [plain(text)] * 2
        page.keyboard.press("j")
    for text, wanted in (("</SCRIPT><img", len(texts)), ("half \u27e8D83D\u27e9", 1)):
        page.fill("[name=search]", text)
        wait_for_count(page, wanted)
    assert page.title() == "hostile · judgekit"
    assert page.locator("img, iframe, object, #detail script, #list script").count() == 0
    assert visit.trouble == [] and len(visit.asked) == 1
    page.close()


def hostile_report(folder: Path, texts: list[str]) -> Path:
    """A run in which all text from outside is hostile."""
    for name in ("pairs", "verdicts"):
        (folder / name).mkdir()
    pairs = [
        ResponsePair(f"{at} {HOSTILE}", text, text, text, "A", reference=text, subset=text[:200], model_a=text[:200])
        for at, text in enumerate(texts)
    ]
    write_rows(folder / "pairs" / "b.jsonl", pairs)
    rows = [VerdictRow(pair.id, order, 0, None, HOSTILE, pair.instruction) for pair in pairs for order in ("ab", "ba")]
    write_verdicts(folder / "verdicts" / "j'\"&.b.jsonl", rows)
    manifest = {"name": "hostile", "status": "finished", "judges": ["j'\"&"], "benchmarks": {"b": {}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return build_report(folder)


def test_ten_thousand_judged_pairs_stay_responsive(visit: Visit, tmp_path: Path) -> None:
    judges = ("one", "two", "three", "four", "five")
    report = build_report(make_evaluation(tmp_path, 1000, judges, words=150))
    page = visit.open(report)
    seconds = page.evaluate("performance.now() / 1000")
    assert count(page) == 10_000
    act = """([name, value]) => {
      const start = performance.now();
      const form = document.getElementById("filters");
      form.elements[name].value = value;
      form.elements.sort.dispatchEvent(new Event("change", { bubbles: true }));
      document.body.offsetHeight;
      return (performance.now() - start) / 1000;
    }"""
    steps = [("outcome", "wrong"), ("judge", "3"), ("outcome", ""), ("judge", ""), ("benchmark", "1")]
    steps += [("benchmark", ""), ("sort", "longest judgment"), ("sort", "by pair id"), ("other", "2")]
    steps += [("search", "question 77"), ("search", "e")]
    times = {f"{name}={value}": page.evaluate(act, [name, value]) for name, value in steps}
    drawn = page.locator("#list [role=option]").count()
    page.focus("#list")
    page.keyboard.press("End")
    assert page.locator("[aria-selected=true]").get_attribute("aria-posinset") == "10000"
    print(json.dumps({"load": seconds, **times, "drawn": drawn, "MB": report.stat().st_size / 1e6}))
    assert seconds < SECONDS_TO_LOAD
    assert max(times.values()) < SECONDS_TO_ACT
    assert drawn < 60


@pytest.mark.parametrize("width", [400, 1240, 2000])
def test_the_page_never_scrolls_sideways(visit: Visit, run: Path, evaluation: Path, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    for report in (run, evaluation):
        page = visit.open(report)
        visit.asked.clear()
        page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_paper_holds_the_figures_and_the_judgment_that_is_shown(visit: Visit, evaluation: Path) -> None:
    page = visit.open(evaluation)
    page.emulate_media(media="print")
    assert page.locator("#list").is_hidden() and page.locator("#filters").is_hidden()
    assert page.locator("#detail .answers").is_visible() and page.locator("svg.bars").first.is_visible()


def test_without_scripts_the_page_says_what_browsing_needs(chromium: Browser, run: Path) -> None:
    page = chromium.new_page(java_script_enabled=False)
    page.goto(run.as_uri())
    assert page.locator("#unopened").is_visible() and page.locator("#filters").is_hidden()
    assert "64.0" in page.inner_text("table.results")
    page.close()


def test_a_chart_reads_its_values_out(visit: Visit, run: Path) -> None:
    page = visit.open(run)
    chart = page.locator("svg.curve").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 20)
    assert re.fullmatch(r"0\.\d+ at step 60", page.locator("figure:has(svg.curve) output").first.inner_text())


def test_a_thought_is_folded_and_the_answer_is_not(visit: Visit, tmp_path: Path) -> None:
    folder = make_evaluation(tmp_path / "evaluation", 1, JUDGES)
    for path in sorted((folder / "verdicts").glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            row["text"] = "<think>Both are <b>fine</b>.</think>\n\nThe first is better. [[A]]"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = visit.open(build_report(folder))
    page.locator("#list [role=option]").first.click()
    said = page.locator(".said").first
    assert said.locator("> pre").inner_text() == "The first is better. [[A]]"
    assert not said.locator(".thought pre").is_visible()
    said.locator(".thought summary").click()
    assert said.locator(".thought pre").inner_text() == "Both are <b>fine</b>."
    page.fill("[name=search]", "<b>fine</b>")
    page.wait_for_function("() => !document.querySelector('#filters output').textContent.startsWith('0 of')")
