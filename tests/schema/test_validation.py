"""Mappings become dataclasses, or every reason why not."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from judgekit.recipes.evalplanner.config import EvalPlannerConfig
from judgekit.registry import nearest
from judgekit.schema.config import RunConfig
from judgekit.schema.fields import setting
from judgekit.schema.validation import build


@dataclass(frozen=True)
class Inner:
    """A nested section."""

    count: int = setting(1, "a count", ge=1, le=9)


@dataclass(frozen=True)
class Sample:
    """One field of every supported type."""

    flag: bool = setting(True, "a flag")
    number: int = setting(3, "a number", ge=0)
    share: float = setting(0.5, "a share", gt=0, lt=1)
    text: str = setting("x", "a text")
    maybe: int | None = setting(None, "perhaps a number", ge=1)
    choice: Literal["left", "right"] = setting("left", "a choice")
    pair: tuple[float, float] = setting((0.1, 0.2), "two numbers", ge=0)
    names: list[str] = setting([], "names")
    file: str | None = setting(None, "a file", path=True)
    inner: Inner = setting(Inner, "a section")
    table: dict[str, Inner] = setting({}, "sections by name")


def messages(values: dict[str, Any]) -> list[str]:
    """The problems as a user reads them."""
    return [str(problem) for problem in build(Sample, values)[1]]


def test_valid_values_are_kept_and_missing_ones_take_defaults() -> None:
    values = {"number": 7, "pair": [1, 0.25], "names": ["a"], "table": {"one": {"count": 2}, "two": {}}, "maybe": None}
    built, problems = build(Sample, values)
    assert problems == []
    assert built == Sample(number=7, pair=(1.0, 0.25), names=["a"], table={"one": Inner(2), "two": Inner(1)})
    assert all(type(item) is float for item in built.pair)


def test_a_null_entry_of_a_table_is_left_out() -> None:
    assert build(Sample, {"table": {"one": None, "two": {"count": 3}}})[0].table == {"two": Inner(3)}


@pytest.mark.parametrize(("given", "expected"), [(1, 1.0), ("1e-1", 0.1), ("5E-2", 0.05)])
def test_numbers_without_a_point_are_numbers(given: Any, expected: float) -> None:
    values, problems = build(Inner2, {"value": given})
    assert (values.value, problems) == (expected, [])
    assert type(values.value) is float


@dataclass(frozen=True)
class Inner2:
    """A float without limits."""

    value: float = setting(0.0, "a number")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"flag": 1}, "flag: 1 is not true or false"),
        ({"flag": "true"}, "flag: 'true' is not true or false"),
        ({"number": True}, "number: True is not a whole number"),
        ({"number": 3.0}, "number: 3.0 is not a whole number"),
        ({"number": None}, "number: null is not a whole number"),
        ({"number": "3"}, "number: '3' is not a whole number"),
        ({"number": -1}, "number: -1 is out of range; allowed: at least 0"),
        ({"share": "0.1"}, "share: '0.1' is not a number"),
        ({"share": False}, "share: False is not a number"),
        ({"share": 1}, "share: 1.0 is out of range; allowed: more than 0 and less than 1"),
        ({"share": float("nan")}, "share: nan is not a finite number"),
        ({"text": 2024}, "text: 2024 is not text. Quote it: text=\"'2024'\""),
        ({"maybe": 0}, "maybe: 0 is out of range; allowed: at least 1"),
        ({"choice": "lefft"}, "choice: 'lefft' is not one of left, right. Did you mean 'left'?"),
        ({"choice": None}, "choice: None is not one of left, right"),
        ({"pair": [1.0]}, "pair: [1.0] is not a list of 2 values"),
        ({"pair": [1.0, -2]}, "pair[1]: -2.0 is out of range; allowed: at least 0"),
        ({"names": "a"}, "names: 'a' is not a list"),
        ({"names": ["a", 1]}, "names[1]: 1 is not text. Quote it: names[1]=\"'1'\""),
        ({"file": "/nowhere/at/all"}, "file: nothing is at '/nowhere/at/all'"),
        ({"inner": 3}, "inner: 3 is not a section with keys"),
        ({"inner": {"cuont": 3}}, "inner.cuont: unknown key. Did you mean 'inner.count'?"),
        ({"table": {"one": {"count": 10}}}, "table.one.count: 10 is out of range; allowed: at least 1 and at most 9"),
        ({"zzz": 1}, "zzz: unknown key. Valid: " + ", ".join(sorted(f.name for f in dataclasses.fields(Sample)))),
    ],
)
def test_each_mistake_is_told_in_one_line(values: dict[str, Any], expected: str) -> None:
    assert messages(values) == [expected]


def test_all_mistakes_are_told_at_once_and_defaults_stand_in() -> None:
    built, problems = build(Sample, {"number": "x", "inner": {"count": 0}, "flagg": True, "text": "kept"})
    assert {problem.key for problem in problems} == {"number", "inner.count", "flagg"}
    assert built == Sample(text="kept")


def test_the_source_of_a_value_is_named() -> None:
    problems = build(Sample, {"number": "x"}, sources=lambda key: f"file of {key}")[1]
    assert str(problems[0]) == "number (file of number): 'x' is not a whole number"


def test_an_existing_path_is_accepted(tmp_path: Path) -> None:
    assert build(Sample, {"file": str(tmp_path)})[1] == []


def test_the_recipe_is_chosen_by_its_name() -> None:
    built, problems = build(RunConfig, {"recipe": {"name": "evalplanner", "plans": 2}})
    assert problems == []
    assert built.recipe == EvalPlannerConfig(plans=2)
    wrong = build(RunConfig, {"recipe": {"name": "evalplaner", "plans": "many"}})[1]
    assert [str(p) for p in wrong] == ["recipe.name: no recipe is named 'evalplaner'. Did you mean 'evalplanner'?"]


@pytest.mark.parametrize(
    ("typo", "expected"),
    [("plan", "plans"), ("temprature", "temperature"), ("betta", "beta"), ("held_uot", "held_out"), ("qqq", None)],
)
def test_nearest_names_stay_what_they_are(typo: str, expected: str | None) -> None:
    assert nearest(typo, ["plans", "temperature", "beta", "held_out", "executions"]) == expected
