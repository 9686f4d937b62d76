"""Progress of sampling: log lines where nobody watches, a live line in a terminal."""

from __future__ import annotations

import io
import logging

import pytest

from judgekit.tracking import progress
from judgekit.tracking.progress import ProgressDisplay


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_listener_is_told_what_is_done(clock: Clock) -> None:
    told: list[tuple[int, int]] = []
    with ProgressDisplay(lambda done, total: told.append((done, total))) as display:
        sampling = display("plans")
        sampling.begin(10, cached=4)
        sampling.advance(2, tokens=9)
        sampling.advance(4, tokens=9)
    assert told == [(6, 10), (10, 10)]


def test_without_a_terminal_lines_are_logged_now_and_then(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=progress.__name__)
    with ProgressDisplay() as display:
        sampling = display("plans")
        sampling.begin(100, cached=20)
        for _ in range(4):
            clock.now += 8
            sampling.advance(10, tokens=400)
        clock.now += 8
        sampling.advance(40, tokens=400)
    assert caplog.messages == [
        "plans: 100 samples (20 found in the cache)",
        # 30 of 80 in 24 s
        "plans: 50/100, 50 tokens/s, 40 s left",
        "plans: 100/100, 50 tokens/s, 0 s left",
    ]


def test_training_is_told_in_steps(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=progress.__name__)
    told: list[tuple[int, int]] = []
    with ProgressDisplay(lambda done, total: told.append((done, total))) as display:
        training = display.training("train/sft")
        training.begin(12, 2)
        for _ in range(5):
            clock.now += 10
            training.advance(1, 0)
        training.end()
    assert caplog.messages == ["train/sft: 12 steps (2 found in the store)", "train/sft: 5/12, 70 s left"]
    assert told[-1] == (7, 12)


def test_what_is_cached_needs_no_line(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=progress.__name__)
    with ProgressDisplay() as display:
        display("plans").begin(7, cached=7)
        display("nothing").begin(0, cached=0)
    assert caplog.messages == []


def test_a_terminal_shows_a_line_and_logs_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    caplog.set_level(logging.INFO, logger=progress.__name__)
    with ProgressDisplay() as display:
        for title in ("plans [/of] it", "executions"):
            sampling = display(title)
            sampling.begin(4, cached=1)
            sampling.advance(1, tokens=10)
            sampling.advance(2, tokens=10)
        display("cached").begin(3, cached=3)
        training = display.training("train/sft")
        training.begin(40, 0)
        training.advance(1, 0)
        training.end()
    assert caplog.messages == []
    assert all(title in terminal.getvalue() for title in ("plans [/of] it", "executions", "train/sft"))


def test_an_error_under_way_leaves_the_terminal_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(KeyboardInterrupt), ProgressDisplay() as display:
        display("plans").begin(4, cached=0)
        raise KeyboardInterrupt
    assert terminal.getvalue().rstrip().count("\x1b[?25h") == 1, "the cursor is shown again"
