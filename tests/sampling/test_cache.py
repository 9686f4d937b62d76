from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgekit.errors import StageError
from judgekit.sampling import cache as cache_module
from judgekit.sampling.base import Generation, SamplingParams
from judgekit.sampling.cache import GenerationCache, generation_keys
from tests.processes import finish, start

WEIGHTS = "f" * 64
PARAMS = SamplingParams(temperature=0.8, top_p=0.95, max_new_tokens=16)
GENERATION = Generation("Verdict: [[A]]\n", (1, 2, 49151), "eos", 3, {"A": 0.75, "B": 0.25})


def row(number: int) -> tuple[str, Generation]:
    [key] = generation_keys(WEIGHTS, (number,), PARAMS, [0])
    return key, replace(GENERATION, text=f"{GENERATION.text}{number}")


def segment(cache: GenerationCache) -> Path:
    [path] = cache.folder.glob("*.seg")
    return path


# --- keys

texts = st.text(st.characters(codec="utf-8"))
params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0, 0.0, 0.5, 1, 1.0]),
    top_p=st.sampled_from([0.9, 1, 1.0]),
    max_new_tokens=st.sampled_from([1, 2]),
    stop=st.lists(st.sampled_from(["a", "b", "a,b"]), max_size=2).map(tuple),
    choices=st.lists(st.sampled_from(["a", "b", "a,b"]), max_size=2).map(tuple),
    seed=st.sampled_from([0, 1]),
    beams=st.sampled_from([1, 4]),
    repetition_penalty=st.sampled_from([1, 1.0, 1.2]),
)
identities = st.tuples(
    st.sampled_from(["f" * 64, "e" * 64]), st.lists(st.sampled_from([1, 2, 12]), max_size=3).map(tuple), params,
    st.sampled_from([0, 1]),
)  # fmt: skip


def key_of(identity: tuple[str, tuple[int, ...], SamplingParams, int]) -> str:
    weights, prompt_ids, sampling, sample = identity
    return generation_keys(weights, prompt_ids, sampling, [sample])[0]


@given(identities, identities)
@settings(max_examples=300, deadline=None)
def test_keys_are_equal_exactly_when_everything_is(first: Any, second: Any) -> None:
    assert (key_of(first) == key_of(second)) == (first == second)


@pytest.mark.parametrize(
    "other",
    [
        replace(PARAMS, temperature=0.7),
        replace(PARAMS, top_p=1.0),
        replace(PARAMS, max_new_tokens=17),
        replace(PARAMS, stop=("\n",)),
        replace(PARAMS, choices=("A", "B")),
        replace(PARAMS, seed=1),
        replace(PARAMS, beams=4),
        replace(PARAMS, repetition_penalty=1.2),
    ],
)
def test_each_sampling_parameter_makes_another_key(other: SamplingParams) -> None:
    assert generation_keys(WEIGHTS, (1,), PARAMS, [0]) != generation_keys(WEIGHTS, (1,), other, [0])


def test_a_reply_without_beams_and_penalty_is_found_under_the_key_it_had_before_there_were_any() -> None:
    params = SamplingParams(0.8, 0.95, 16, ("\n",), (), 5)
    assert generation_keys(WEIGHTS, (1, 2, 3), params, [2]) == ["0af81651a054bec448647081131fbabb"]


# --- what is put is got

generations = st.builds(
    Generation,
    text=texts,
    token_ids=st.lists(st.integers(0, 2**31)).map(tuple),
    finish=st.sampled_from(["stop", "eos", "length", "choice"]),
    prompt_tokens=st.integers(0, 2**20),
    choice_probs=st.none() | st.dictionaries(texts, st.floats(0, 1)),
)


@given(st.lists(st.lists(generations, max_size=4), max_size=4))
@settings(max_examples=60, deadline=None)
def test_get_returns_what_was_put_also_in_another_process(batches: list[list[Generation]]) -> None:
    with TemporaryDirectory() as root:
        cache = GenerationCache(Path(root), WEIGHTS)
        reader = GenerationCache(Path(root), WEIGHTS)
        expected: dict[str, Generation] = {}
        for number, batch in enumerate(batches):
            keys = generation_keys(WEIGHTS, (number,), PARAMS, range(len(batch)))
            cache.put_batch(list(zip(keys, batch, strict=True)))
            expected.update(zip(keys, batch, strict=True))
            reader.refresh()
        for opened in (cache, reader, GenerationCache(Path(root), WEIGHTS)):
            assert {key: opened.get(key) for key in expected} == expected
            assert (len(opened), opened.corrupt) == (len(expected), 0)
            opened.close()


def test_unknown_keys_and_other_weights_give_nothing(tmp_path: Path) -> None:
    cache = GenerationCache(tmp_path, WEIGHTS)
    cache.put_batch([row(1)])
    assert cache.get(row(2)[0]) is None and row(2)[0] not in cache
    assert len(GenerationCache(tmp_path, "e" * 64)) == 0


def test_the_segment_begun_first_wins(tmp_path: Path) -> None:
    early, late = GenerationCache(tmp_path, WEIGHTS), GenerationCache(tmp_path, WEIGHTS)
    key = row(1)[0]
    early.put_batch([row(0)])
    late.put_batch([(key, replace(GENERATION, text="late"))])
    early.put_batch([(key, replace(GENERATION, text="early")), (key, replace(GENERATION, text="again"))])
    opened = GenerationCache(tmp_path, WEIGHTS)
    assert [found.text for found in [opened.get(key)] if found] == ["early"]
    late.refresh()
    assert [found.text for found in [late.get(key)] if found] == ["late"], "what a process has seen stays"


# --- damage


def test_a_torn_last_line_is_ignored_wherever_it_is_torn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = GenerationCache(tmp_path, WEIGHTS)
    cache.put_batch([row(1)])
    whole = segment(cache).stat().st_size
    cache.put_batch([row(2)])
    data = segment(cache).read_bytes()
    for size in range(whole, len(data)):
        segment(cache).write_bytes(data[:size])
        torn = GenerationCache(tmp_path, WEIGHTS)
        assert torn.get(row(1)[0]) == row(1)[1] and torn.get(row(2)[0]) is None
        assert torn.corrupt == 0
    assert caplog.text == ""


def test_a_line_still_being_written_is_found_once_it_is_whole(tmp_path: Path) -> None:
    cache = GenerationCache(tmp_path, WEIGHTS)
    cache.put_batch([row(1), row(2)])
    data = segment(cache).read_bytes()
    segment(cache).write_bytes(data[:-20])
    reader = GenerationCache(tmp_path, WEIGHTS)
    assert row(2)[0] not in reader
    segment(cache).write_bytes(data)
    reader.refresh()
    assert reader.get(row(2)[0]) == row(2)[1]


def test_no_flipped_bit_is_ever_trusted(tmp_path: Path) -> None:
    cache = GenerationCache(tmp_path, WEIGHTS)
    rows = [row(number) for number in range(3)]
    cache.put_batch(rows)
    path, data = segment(cache), segment(cache).read_bytes()
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        opened = GenerationCache(tmp_path, WEIGHTS)
        found = [opened.get(key) for key, _ in rows]
        lost = [number for number in range(3) if found[number] is None]
        assert all(found[number] in (None, rows[number][1]) for number in range(3))
        assert len(lost) <= 2, "only the lines that touch the bit"
        assert bool(opened.corrupt) == bool(lost) or position == len(data) - 1
        opened.close()


def test_a_corrupt_line_is_reported_once_with_its_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = GenerationCache(tmp_path, WEIGHTS)
    cache.put_batch([row(number) for number in range(4)])
    path = segment(cache)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"Verdict", b"Verdikt") + b"\x00" * 40 + b"\n" + lines[3])
    with caplog.at_level(logging.WARNING):
        opened = GenerationCache(tmp_path, WEIGHTS)
        opened.refresh()
    assert opened.corrupt == 2 and len(opened) == 2
    assert len(caplog.records) == 1
    assert str(path) in caplog.text and "2 corrupt line(s)" in caplog.text


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x" * 500)])
def test_a_row_that_changes_under_an_open_cache_is_forgotten(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    writer = GenerationCache(tmp_path, WEIGHTS)
    writer.put_batch([row(1)])
    reader = GenerationCache(tmp_path, WEIGHTS)
    damage(segment(writer))
    assert row(1)[0] in reader
    assert reader.get(row(1)[0]) is None
    assert row(1)[0] not in reader and reader.corrupt == 1


# --- a disk that refuses


def test_a_batch_that_did_not_fit_is_not_trusted_and_the_next_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = GenerationCache(tmp_path, WEIGHTS)
    cache.put_batch([row(1)])

    def write_half(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2 + 30])
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "_write_all", write_half)
        with pytest.raises(StageError, match="disk is full") as caught:
            cache.put_batch([row(2), row(3)])
    assert str(cache.folder) in str(caught.value)
    assert row(2)[0] not in cache and row(3)[0] not in cache
    cache.put_batch([row(3)])
    opened = GenerationCache(tmp_path, WEIGHTS)
    assert opened.get(row(1)[0]) == row(1)[1] and opened.get(row(3)[0]) == row(3)[1]
    assert opened.corrupt == 0


def test_a_really_full_disk(tmp_path: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root; the test with /dev/full covers the message")
    try:
        cache = GenerationCache(tmp_path, WEIGHTS)
        cache.put_batch([row(1)])
        big = replace(GENERATION, text="x" * 100_000)
        with pytest.raises(StageError, match="disk is full"):
            cache.put_batch([(row(2)[0], big)])
        opened = GenerationCache(tmp_path, WEIGHTS)
        assert (len(opened), opened.corrupt) == (1, 0)
        subprocess.run(["mount", "-o", "remount,size=1m", str(tmp_path)], check=True)
        cache.put_batch([(row(2)[0], big)])
        assert GenerationCache(tmp_path, WEIGHTS).get(row(2)[0]) == big
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


# --- several writers


def test_writers_side_by_side_lose_nothing(tmp_path: Path) -> None:
    writers = [start("put_many", root=tmp_path, batches=40, first=40 * number) for number in range(4)]
    reader = GenerationCache(tmp_path, WEIGHTS)
    while any(writer.poll() is None for writer in writers):
        reader.refresh()
    for writer in writers:
        finish(writer)
    reader.refresh()
    assert len(list(reader.folder.glob("*.seg"))) == 4
    assert (len(reader), reader.corrupt) == (4 * 40 * 2, 0)
