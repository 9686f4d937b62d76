from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from judgekit.sampling import choices
from judgekit.sampling.base import Request, SamplingParams
from judgekit.sampling.choices import Choices

VERDICT = Request("r", (1, 2, 3), SamplingParams(0.0, 1.0, 8))


class Letters:
    """One token a character."""

    def encode(self, text: str, **_: Any) -> list[int]:
        return [ord(letter) for letter in text]


def tree(*texts: str, monkeypatch: pytest.MonkeyPatch) -> Choices:
    monkeypatch.setattr(choices, "encode_reply", lambda tokenizer, text, end: tokenizer.encode(text))
    return Choices.of(texts, Letters())  # type: ignore[arg-type]


def test_the_model_is_asked_where_the_texts_part(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tree("[[A]]", "[[B]]", monkeypatch=monkeypatch).branches == {(91, 91): (65, 66)}
    three = tree("[[A]]", "[[B]]", "tie", monkeypatch=monkeypatch)
    assert three.branches == {(): (91, 116), (91, 91): (65, 66)}


def test_a_text_that_begins_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for texts in (("A", "AB"), ("A", "A")):
        with pytest.raises(ValueError, match="begins another"):
            tree(*texts, monkeypatch=monkeypatch)


def test_probabilities_multiply_along_the_branches(monkeypatch: pytest.MonkeyPatch) -> None:
    three = tree("[[A]]", "[[B]]", "tie", monkeypatch=monkeypatch)
    scores = {(): [5.0, 4.0], (91, 91): [-2.0, -1.0]}
    first, second = torch.tensor(scores[()]).softmax(0).tolist(), torch.tensor(scores[91, 91]).softmax(0).tolist()
    found = three.decide(scores, VERDICT, 0.0)
    assert found.choice_probs == pytest.approx(
        {"[[A]]": first[0] * second[0], "[[B]]": first[0] * second[1], "tie": first[1]}
    )
    assert (found.text, found.finish, found.token_ids) == ("[[B]]", "choice", tuple(map(ord, "[[B]]")))
    assert found.prompt_tokens == 3


def test_choices_are_drawn_by_their_sharpened_probability() -> None:
    logps = [-1.2, -0.9, -1.4]
    for temperature in (1.0, 0.5):
        weights = torch.tensor(logps).div(temperature).softmax(dim=0).tolist()
        drawn = [choices._draw(logps, temperature, (place + 0.5) / 1000) for place in range(1000)]
        assert [drawn.count(choice) / 1000 for choice in range(3)] == pytest.approx(weights, abs=0.002)
    assert {
        choices._draw(logps, temperature, uniform)
        for temperature, uniform in itertools.product((0.0, 1e-6), (0.0, 0.999))
    } == {1}
