"""A file that grows by chunks: what is torn is made again, what belongs to something else is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from judgekit.errors import StageError
from judgekit.evaluation.journal import Journal

IDENTITY = {"input": "aa", "judge": "bb", "decoding": {"temperature": 0.0}}
CHUNKS = [["a1", "a2"], ["b1", "b2", "b3"], ["c1"]]
SIZES = [2, 3, 1]


def write(path: Path, **options: bool) -> list[int]:
    """Resume and write the rest; the chunks that were made."""
    with Journal(path, IDENTITY, **options) as journal:
        whole = journal.resume(SIZES)
        for chunk in CHUNKS[whole:]:
            workspace = journal.workspace()
            workspace.tokens(10, 5)
            journal.append(chunk, workspace, 1.5)
        return list(range(whole, len(CHUNKS)))


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    write(tmp_path / "whole.jsonl")
    return (tmp_path / "whole.jsonl").read_bytes()


def test_a_whole_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    assert write(path) == [0, 1, 2]
    content, state = path.read_bytes(), (tmp_path / "out.jsonl.state" / "state.json").read_bytes()
    assert content == b"a1\na2\nb1\nb2\nb3\nc1\n"
    assert write(path) == []
    assert (path.read_bytes(), (tmp_path / "out.jsonl.state" / "state.json").read_bytes()) == (content, state)
    with Journal(path, IDENTITY) as journal:
        assert (journal.spent.prompt_tokens, journal.spent.generated_tokens, journal.spent.seconds) == (30, 15, 4.5)


def test_wherever_it_is_torn_the_same_bytes_come_out(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "out.jsonl"
    for length in range(len(whole) + 1):
        write(path, restart=True)
        path.write_bytes(whole[:length])
        made = write(path)
        assert path.read_bytes() == whole
        ends = [6, 15, 18]
        assert made == [number for number, end in enumerate(ends) if length < end]


def test_rows_after_the_end_are_cut_off(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "out.jsonl"
    write(path)
    path.write_bytes(whole + b"stray\n")
    assert write(path) == []
    assert path.read_bytes() == whole


def test_another_input_or_judge_is_refused_until_it_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path)
    content = path.read_bytes()
    other = {**IDENTITY, "judge": "cc"}
    with pytest.raises(StageError, match="begun with a judge that is not the one given now.*--restart"):
        Journal(path, other).__enter__()
    with pytest.raises(StageError, match="begun with an input and a judge that are not the ones given now"):
        Journal(path, {**other, "input": "dd"}).__enter__()
    assert path.read_bytes() == content
    with Journal(path, other, restart=True) as journal:
        assert journal.resume(SIZES) == 0
        assert journal.spent.seconds == 0
    assert path.read_bytes() == b""


def test_a_file_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    path, made = tmp_path / "out.jsonl", tmp_path / "out.csv"
    path.write_text("precious\n")
    with pytest.raises(StageError, match="was not begun by this command"):
        Journal(path, IDENTITY).__enter__()
    assert path.read_text() == "precious\n"
    path.unlink()
    made.write_text("precious\n")
    with pytest.raises(StageError, match="out.csv is there already"):
        Journal(path, IDENTITY, [made]).__enter__()
    with Journal(path, IDENTITY, [made], restart=True):
        assert not made.exists()


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Journal(path, IDENTITY), pytest.raises(StageError, match="Another process is writing"):
        Journal(path, IDENTITY).__enter__()
    write(path)


def test_a_damaged_state_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path)
    (tmp_path / "out.jsonl.state" / "state.json").write_text("{")
    with pytest.raises(StageError, match="cannot be read .*--restart"):
        Journal(path, IDENTITY).__enter__()
    assert write(path, restart=True) == [0, 1, 2]
