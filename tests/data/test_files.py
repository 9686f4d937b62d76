"""Small files as people have them, each with the value a measurement or a reader must find in it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from judgekit.cli import main
from judgekit.data.inputs import read_inputs
from judgekit.data.logs import read_verdicts
from judgekit.data.sources import read_instructions, read_pairs
from judgekit.data.tables import read_table
from judgekit.errors import DataError
from judgekit.rows import ResponsePair


def zst(content: bytes) -> bytes:
    packed: bytes = pyarrow.compress(content, codec="zstd", asbytes=True)
    return packed


def measured(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    assert main(["score", *map(str, arguments), "--resamples", "20"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


# Four rows, three of them right: gold A B tie A, verdicts A B tie B.
LABELLED: dict[str, bytes] = {
    "commas.csv": b"gold,verdict\nA,A\nB,B\ntie,tie\nA,B\n",
    "semicolons.csv": b"gold;verdict\r\nA;A\r\nB;B\r\ntie;tie\r\nA;B\r\n",
    "tabs.tsv": b"gold\tverdict\nA\tA\nB\tB\ntie\ttie\nA\tB\n",
    "bars.csv": b"gold|verdict\nA|A\nB|B\ntie|tie\nA|B\n",
    "named.csv": b"\xef\xbb\xbfsep=;\r\ngold;verdict\r\nA;A\r\nB;B\r\ntie;tie\r\nA;B\r\n",
    "comments.csv": b"Gold;Verdict;Note\nA;A;short, sweet\nB;B;a, b, c\ntie;tie;\nA;B;no, never, ever\n",
    "spreadsheet.csv": "gold\tverdict\r\nA\tA\r\nB\tB\r\ntie\ttie\r\nA\tB\r\n".encode("utf-16"),
    "no_mark.csv": "gold,verdict\nA,A\nB,B\ntie,tie\nA,B\n".encode("utf-16-le"),
    "old_mac.csv": b"gold,verdict\rA,A\rB,B\rtie,tie\rA,B\r",
    "blank_lines.csv": b"\n Gold , VERDICT \nA,A\n\nB , b\n,\nTie,TIE\nA,B\n\n",
    "packed.csv.gz": gzip.compress(b"gold,verdict\nA,A\nB,B\ntie,tie\nA,B\n"),
    "packed.jsonl.zst": zst(b"".join(b'{"gold": "%s", "verdict": "%s"}\n' % one for one in
                                     ((b"A", b"A"), (b"B", b"B"), (b"tie", b"tie"), (b"A", b"B")))),
    "list.json": json.dumps([{"gold": one, "verdict": two} for one, two in
                             (("A", "A"), ("B", "B"), ("tie", "tie"), ("A", "B"))], indent=1).encode("utf-16"),
    "old_mac.jsonl": b'{"Gold": "A", "Verdict": "A"}\r{"Gold": "B", "Verdict": "B"}\r'
                     b'{"Gold": "tie", "Verdict": "tie"}\r{"Gold": "A", "Verdict": "B"}\r',
    "no_ending": b"gold,verdict\nA,A\nB,B\ntie,tie\nA,B\n",
    "digits.csv": b"label,verdict\n1,1\n2,2\n0,0\n1,2\n",
    "gaps.csv": b"label,verdict\n1.0,1.0\n2.0,2.0\n0.0,0.0\n1.0,2.0\n",
    "signs.csv": b"label,verdict\nA>B,[[A>>B]]\nB>A,B > A\nA=B,A=B\nA>B,[[B>A]]\n",
    "arena.csv": b"label,verdict\nmodel_a,model_a\nmodel_b,Model B\ntie (bothbad),tie\nmodel_a,model_b\n",
    "integers.jsonl": b'{"id": 7, "gold": 1, "verdict": 1}\n{"id": 8, "gold": 2, "verdict": 2}\n'
                      b'{"id": 9, "gold": 0, "verdict": 0}\n{"id": 10, "gold": 1, "verdict": 2}\n',
}  # fmt: skip


@pytest.mark.parametrize("name", LABELLED)
def test_gold_and_verdicts_in_one_file_are_measured(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(LABELLED[name])
    found = measured(capsys, tmp_path / name)["overall"]
    assert (found["n"], found["accuracy"], found["invalid_rate"], found["tie_rate"]) == (4, 0.75, 0.0, 0.25)


# The same of two files.
GOLD: dict[str, bytes] = {
    "gold.csv": b"ID;Label\n1;A\n2;B\n",
    "gold.jsonl": b'{"id": 1, "label": "A"}\n{"id": 2, "label": "B"}\n',
    "gold.tsv": "id\tgold\n1\tmodel_a\n2\tmodel_b\n".encode("utf-16"),
}
VERDICTS: dict[str, bytes] = {
    "v.csv": b'id,order,sample,verdict,invalid,score_a,score_b,p_a,text\n1,ab,0,A,,,,0.9,"so,\nA"\n1,ba,0,B,,,,0.5,B\n'
             b'2,ab,0,B,,,,0.25,"say ""B"""\n2,ba,0,,ambiguous,,,,?\n',
    "v.json": json.dumps([
        {"id": 1, "order": "AB", "verdict": 1}, {"id": 1, "order": "ba", "verdict": 2},
        {"id": 2, "order": "ab", "verdict": 2}, {"id": 2, "order": "ba", "verdict": None, "invalid": "ambiguous"},
    ]).encode(),
}  # fmt: skip


@pytest.mark.parametrize("verdicts", VERDICTS)
@pytest.mark.parametrize("gold", GOLD)
def test_gold_and_verdicts_in_two_files_are_measured(
    gold: str, verdicts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / gold).write_bytes(GOLD[gold])
    (tmp_path / verdicts).write_bytes(VERDICTS[verdicts])
    found = measured(capsys, tmp_path / verdicts, "--gold", tmp_path / gold)
    overall = found["overall"]
    assert (overall["accuracy_ab"], overall["accuracy_ba"], overall["consistent_accuracy"]) == (1.0, 0.0, 0.0)
    assert found["invalid_reasons"] == {"ambiguous": 1}
    # In order ba B is the response shown first where verdicts name positions, and that is right of pair 1.
    named = measured(capsys, tmp_path / verdicts, "--gold", tmp_path / gold, "--verdict-names", "position")
    assert (named["overall"]["accuracy_ab"], named["overall"]["accuracy_ba"]) == (1.0, 0.5)


def test_parquet_of_a_data_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"Pair ID": number, "human": 1.0, "gpt": "A" if number else None} for number in range(4)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "v.parquet")
    columns = ("--columns", "id=pair_id", "label=human", "verdict=gpt")
    found = measured(capsys, tmp_path / "v.parquet", *columns)
    assert (found["overall"]["accuracy"], found["invalid_reasons"]) == (0.75, {"unstated": 1})


def test_verdicts_that_name_positions_are_turned_with_all_that_goes_with_them(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text("id,order,verdict,p_a,score_a,score_b\nx,ab,A,0.75,8,3\nx,ba,A,0.75,8,3\n")
    ab, ba = read_verdicts(path, names="position")
    assert (ab.verdict, ab.p_a, ab.score_a, ab.score_b) == ("A", 0.75, 8.0, 3.0)
    assert (ba.verdict, ba.p_a, ba.score_a, ba.score_b) == ("B", 0.25, 3.0, 8.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("gold,verdict\n0,1\n1,0\n", "field 'verdict': holds 0 and never 2"),
        ("gold,verdict\nA,C\n", "line 2, field 'verdict': holds 'C'; use A, B, tie"),
        ("gold,answer\nA,A\n", "line 2: has gold, answer; verdicts need the column verdict"),
        ("verdict\nA\n", "line 2, field 'gold': is missing, and so is 'label'"),
        ("gold,order,verdict\nA,ab,A\nA,ba,A\n", "line 3, field 'id': is missing, so that nobody knows which rows"),
        ("gold,sample,verdict\nA,0,A\nA,1,A\n", "line 3, field 'id': is missing, so that nobody knows what"),
        ("id,gold,order,verdict\n1,A,ab,A\n1,B,ba,A\n", "line 3, field 'gold': is not that of an earlier row"),
        ("id,gold,verdict\n1,A,A\n1,A,B\n", "line 3, field 'sample': pair '1' has two rows of order ab"),
        ("gold,verdict\n,A\n,B\n", "field 'label': no pair has a label"),
        ("gold,verdict,p_a\nA,A,1.5\n", "line 2, field 'p_a': must lie in"),
        ("gold,verdict,order\nA,A,first\n", "line 2, field 'order': holds 'first'; use ab"),
        ("gold,verdict,invalid\nA,A,odd\n", "line 2, field 'invalid': must be empty"),
    ],
)  # fmt: skip
def test_what_a_file_does_not_say_is_asked_for(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "v.csv"
    path.write_text(content)
    assert main(["score", str(path)]) == 2
    assert f"{path}" in (told := capsys.readouterr().err) and message in told


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.csv", b"PK\x03\x04 and more", "workbook"),
        ("v.csv.gz", gzip.compress(b"gold,verdict\n" + bytes(range(48, 91)) * 50)[:-12], "to its end"),
        ("v.jsonl.zst", zst(b'{"a": 1}\n' * 9)[:-3], "to its end"),
        ("v.csv", "gold,verdict\nA,A\n".encode("utf-16")[:-1], "not UTF-16"),
        ("v.parquet.gz", gzip.compress(b"PAR1"), "unpack it"),
        ("v.csv", "gold,verdict\nA,schön\n".encode("cp1252"), "line 2: not UTF-8"),
    ],
    ids=["workbook", "cut gzip", "cut zstd", "cut UTF-16", "packed parquet", "Latin-1"],
)
def test_files_that_are_something_else_are_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_table(path))


def test_every_reader_of_rows_takes_every_file(tmp_path: Path) -> None:
    text = "ID;Instruction;Response A;response-b;Label\n1;Wer, wie;schön;na; A \n"
    (tmp_path / "pairs.csv").write_bytes(text.encode("utf-16"))
    expected = [ResponsePair("1", "Wer, wie", "schön", "na", "A")]
    assert read_pairs(tmp_path / "pairs.csv") == expected
    assert [row.id for row in read_inputs(tmp_path / "pairs.csv", "pairs")] == ["1"]
    assert [row.text for row in read_instructions(tmp_path / "pairs.csv")] == ["Wer, wie"]
    renamed = {"response_b": "response a", "response_a": "response-b"}
    assert read_pairs(tmp_path / "pairs.csv", renamed)[0].response_a == "na"
    (row,) = read_inputs(tmp_path / "pairs.csv", "pairs", columns=renamed)
    assert isinstance(row, ResponsePair) and (row.response_a, row.response_b) == ("na", "schön")


def test_text_with_line_ends_of_its_own_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b'instruction,response\r\n"one\r\ntwo\rthree\nfour",r\r\nq,s\r\n')
    assert [row for _, row in read_table(path)] == [
        {"instruction": "one\r\ntwo\rthree\nfour", "response": "r"}, {"instruction": "q", "response": "s"},
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_written_is_read_back(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    names = draw.sample(["instruction", "response_a", "response_b", "label", "id"], draw.randint(2, 5))
    pieces, quoting = [",", ";", "\t", "|", '"', "'", " ", "a", "Zoë", "漢字", "{", "[", "sep=;"], draw.randint(0, 1)
    pieces += ["\n", "\r\n", "\r"] * quoting  # not every writer quotes a cell for each of them
    rows = [{name: "x" + "".join(draw.choices(pieces, k=draw.randint(0, 9))) for name in names} for _ in range(9)]
    text = io.StringIO(newline="")
    ends, delimiter = draw.choice(["\n", "\r\n", "\r"]), draw.choice(",;\t|")
    writer = csv.DictWriter(text, names, delimiter=delimiter, lineterminator=ends, quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode(draw.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]))
    pack, ending = draw.choice([(bytes, ""), (gzip.compress, ".gz"), (zst, ".zst")])
    path = tmp_path / f"{draw.choice(['in.csv', 'in.tsv', 'in'])}{ending}"
    path.write_bytes(pack(content))
    assert [row for _, row in read_table(path)] == rows


def test_a_released_log_of_a_judge(shared_data: Callable[[str], Path]) -> None:
    """AlpacaEval's annotations hold preferences between 1 and 2, which are no verdicts and are not rounded to any."""
    path = shared_data("alpaca_eval") / "vicuna-13b-v1.5.csv"
    rows = list(read_table(path))
    assert len(rows) == 805 and rows[0][1]["dataset"] == "helpful_base"
    with pytest.raises(DataError, match="line 2, field 'preference': holds '1.0001159194'"):
        read_verdicts(path, {"id": "index", "verdict": "preference"})


def test_rows_of_both_orders_find_each_other_by_id_or_by_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "v.csv"
    for names, values in (("id", "7"), ("instruction,response_a,response_b", "why?,so,no")):
        path.write_text(f"{names},gold,order,verdict\n{values},A,ab,A\n{values},A,ba,B\n")
        found = measured(capsys, path)["overall"]
        assert (found["n"], found["accuracy"], found["consistency"]) == (1, 0.5, 0.0)
    path.write_text("gold,order,verdict\nA,ab,A\nB,ab,A\n")
    assert measured(capsys, path)["overall"]["accuracy"] == 0.5


@pytest.mark.parametrize("texts", ["", "instruction", "instruction,group"])
def test_rows_without_an_instruction_are_clusters_of_their_own_and_one_cluster_is_warned_of(
    texts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """100 of 200 right: by the binomial the interval is .43 to .57."""
    path = tmp_path / "v.csv"
    same = {"": "", "instruction": ",same", "instruction,group": ",,one"}[texts]
    rows = [f"A,{'AB'[number % 2]}{same}" for number in range(200)]
    path.write_text("\n".join([f"gold,verdict{',' if texts else ''}{texts}", *rows]) + "\n")
    assert main(["score", str(path)]) == 0
    low, high = json.loads(capsys.readouterr().out)["overall"]["accuracy_ci95"]
    assert (low, high) == pytest.approx((0.43, 0.57), abs=0.02) if not texts else high - low > 0.8
    (message,) = [record.getMessage() for record in caplog.records]
    expected = "all 200 pairs have one instruction (or group)" if texts else "200 pairs without instruction or group"
    assert expected in message


SCORES = "id,sample,score,invalid,text\n1,0,5,,\n2,0,1,,\n3,0,4,,\n4,0,,missing,?\n"
PEOPLE = {
    "gold.csv": "id;gold;group\n1;4,5;x\n".replace("4,5", "4.5") + "2;1;x\n3;2;y\n4;3;y\n",
    "gold.jsonl": "".join(
        json.dumps({"id": number, "score": score, "group": group, "low": 1, "high": 5}) + "\n"
        for number, score, group in ((1, 4.5, "x"), (2, 1, "x"), (3, 2, "y"), (4, 3, "y"))
    ),
}


@pytest.mark.parametrize("name", PEOPLE)
def test_scores_are_measured_from_the_command_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.csv").write_text(SCORES)
    (tmp_path / name).write_text(PEOPLE[name])
    found = measured(capsys, tmp_path / "s.csv", "--gold", tmp_path / name, "--scale", "1", "5")
    overall = found["overall"]
    # Judge 5 1 4, people 4.5 1 2: sums of squares 26/3 and 6.5, of products 6.5.
    assert (overall["n"], overall["invalid"], found["invalid_reasons"]) == (3, 1, {"missing": 1})
    assert overall["pooled_spearman"] == 1.0 and overall["pairwise_accuracy"] == 1.0
    assert overall["pooled_pearson"] == pytest.approx(0.75**0.5)
    # Nobody is in the middle fifth, [2.5, 3.5] of the scale, where people's is known at all.
    assert overall["central_tendency"] == (0.0 if name == "gold.jsonl" else None)


def test_scores_beside_those_of_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.csv").write_text("gold,score\n4.5,5\n1,1\n2,4\n,3\n")
    overall = measured(capsys, tmp_path / "s.csv")["overall"]
    assert (overall["n"], overall["unlabelled"]) == (3, 1)
    assert overall["pooled_pearson"] == pytest.approx(0.75**0.5)
    assert main(["score", str(tmp_path / "s.csv"), "--majority"]) == 2
    assert "--majority: it is about verdicts" in capsys.readouterr().err
