"""Arguments of the commands about judges. Commands import numpy and more, so this file imports none of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

# Written out, because the modules that define them import numpy.
MERGE_RULES = (
    "none", "panda", "panda_symmetric", "both_agree", "judgebench", "fastchat", "average_score", "average_probability",
)  # fmt: skip


class Kinds:
    """Kinds of benchmarks with files of their own; they are only looked for when one is asked for."""

    def __iter__(self) -> Iterator[str]:
        """Their names."""
        from judgekit.evaluation.benchmarks.base import BENCHMARKS

        return (kind for kind, benchmark in BENCHMARKS.items() if benchmark.pairs is not None or benchmark.pointwise)

    def __contains__(self, kind: str) -> bool:
        """Whether this is one of them."""
        return kind in list(self)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _add_columns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--columns", action="extend", nargs="+", default=[], metavar="FIELD=COLUMN",
        help="where the file's columns have other names, such as instruction=prompt",
    )  # fmt: skip


def _add_outside(parser: argparse.ArgumentParser) -> None:
    """How files that are not judgekit's own are read."""
    _add_columns(parser)
    parser.add_argument(
        "--verdict-names", choices=["response", "position"], default="response",
        help="what A is in the verdicts: response_a (default), or the response shown first",
    )  # fmt: skip


def _add_min_votes(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--min-votes", type=positive, metavar="N", help=f"valid votes {what} takes (default: more than "
                        "half of the samples)")  # fmt: skip


def split_columns(options: argparse.Namespace) -> None:
    """Make a mapping of ``--columns``; what follows it and is no field's name is an override where there are any.

    :raises ConfigError: for anything else
    """
    if not isinstance(getattr(options, "columns", None), list):
        return
    from judgekit.data.inputs import FIELDS as INPUT_FIELDS
    from judgekit.data.logs import FIELDS
    from judgekit.errors import ConfigError, Problem

    columns: dict[str, str] = {}
    for text in options.columns:
        field, equals, column = text.partition("=")
        if equals and column and field in {*FIELDS, *INPUT_FIELDS}:
            columns[field] = column
        elif equals and hasattr(options, "overrides"):
            options.overrides = [*options.overrides, text]
        else:
            fields = ", ".join(dict.fromkeys((*FIELDS, *INPUT_FIELDS)))
            raise ConfigError([Problem("--columns", f"{text!r} is no FIELD=COLUMN", f"Fields: {fields}")])
    options.columns = columns


def add_score(commands: argparse._SubParsersAction[argparse.ArgumentParser], described: str) -> None:
    """``judgekit score FILE`` and ``judgekit score --gold PAIRS --verdicts FILE``."""
    parser = commands.add_parser("score", help=described, description=described)
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE",
        help="verdicts, or scores of single responses; without --gold it also holds the labels, in a column gold",
    )  # fmt: skip
    parser.add_argument("--gold", type=Path, help="labelled pairs, or responses with people's scores")
    parser.add_argument("--verdicts", type=Path, metavar="FILE", help="the same as FILE")
    _add_outside(parser)
    parser.add_argument("--invalid-as", choices=["tie"], help="count invalid verdicts as ties, as some releases do")
    parser.add_argument(
        "--merge",
        choices=MERGE_RULES,
        help="one verdict out of both orders (default: the --benchmark's rule, or none)",
    )
    parser.add_argument("--majority", action="store_true", help="majority verdict over samples instead of sample 0")
    _add_min_votes(parser, "a majority")
    _add_benchmark(parser, "--gold", ", and whose own aggregation is added")
    parser.add_argument(
        "--scale", type=float, nargs=2, metavar=("LOW", "HIGH"), help="of scores: the judge's worst and best"
    )
    parser.add_argument("--resamples", type=positive, default=1000, help="bootstrap resamples (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (default: 0)")
    parser.set_defaults(command=_score)


def _add_benchmark(parser: argparse.ArgumentParser, option: str, more: str = "") -> None:
    parser.add_argument(
        "--benchmark", choices=Kinds(), metavar="KIND",
        help=f"kind of benchmark whose published file or folder {option} may be{more}: %(choices)s",
    )  # fmt: skip


def add_compare(commands: argparse._SubParsersAction[argparse.ArgumentParser], described: str) -> None:
    """``judgekit compare A B`` and ``judgekit compare RUN --judge A B``."""
    parser = commands.add_parser("compare", help=described, description=described)
    parser.add_argument(
        "sources", type=Path, nargs="+", metavar="RUN", help="one or two folders of runs, or with --gold verdict files"
    )
    parser.add_argument(
        "--judge", nargs="+", metavar="NAME", help="the judge in both folders, or that of A and that of B; "
        "default: the last of each"
    )  # fmt: skip
    parser.add_argument("--gold", type=Path, help="the pairs that two verdict files are about")
    _add_outside(parser)
    _add_benchmark(parser, "--gold")
    parser.add_argument("--majority", action="store_true", help="majority verdict over samples instead of sample 0")
    _add_min_votes(parser, "a majority")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--resamples", type=positive, default=1000, help="bootstrap resamples (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (default: 0)")
    parser.set_defaults(command=_compare)


def _compare(options: argparse.Namespace) -> None:
    from judgekit.commands.compare import compare

    compare(options)


def add_judge(commands: argparse._SubParsersAction[argparse.ArgumentParser], described: str) -> None:
    """``judgekit judge INPUT --judge SOURCE -o OUTPUT [OVERRIDE ...]``."""
    parser = commands.add_parser(
        "judge", help=described, description=described, usage="judgekit judge INPUT --judge SOURCE -o OUT [OVERRIDES]",
        epilog="Overrides are those of `judgekit eval`, such as prompt=pairwise or sampler.batch_size=8.",
    )  # fmt: skip
    parser.add_argument(
        "input", type=Path, help="pairs, single responses, or lists of responses (JSON, CSV, TSV, parquet)"
    )
    _add_columns(parser)
    parser.add_argument(
        "--judge", metavar="SOURCE", help="folder of a run, an adapter or a model, or ORGANISATION/NAME@COMMIT; "
        "left out with --sampler openai, which asks a server's model"
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, help="OUT.jsonl, OUT.csv or OUT.parquet")
    parser.add_argument("--orders", choices=["both", "ab", "ba"], default="both", help="in which responses are shown")
    parser.add_argument(
        "--samples", type=positive, default=1, metavar="K", help="samples of each judgment (default: 1)"
    )
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="of sampling (default: 0, greedy; with several samples 0.8)"
    )
    parser.add_argument("--verdict", choices=["free", "constrained"], help="read from the text, or chosen (gives p_a)")
    parser.add_argument("--sampler", metavar="NAME", help="back end: hf (default), vllm, openai or a plugin's")
    parser.add_argument("--merge", choices=MERGE_RULES, default="none", help="also OUT.merged: one verdict a pair")
    _add_min_votes(parser, "a majority before merging")
    parser.add_argument("--chunk", type=positive, help="rows judged together before they are written (default: 64 or "
                        "512, by back end)")  # fmt: skip
    parser.add_argument("--seed", type=int, help="of sampling (default: 2)")
    parser.add_argument(
        "--skip-bad-rows", action="store_true", help="leave out rows that cannot be judged, and say which"
    )
    parser.add_argument("--restart", action="store_true", help="begin anew instead of resuming")
    parser.set_defaults(command=_judge, overrides=[])


def add_rank(commands: argparse._SubParsersAction[argparse.ArgumentParser], described: str) -> None:
    """``judgekit rank --responses NAME=FILE ... --judge SOURCE -o DIR`` and ``judgekit rank --verdicts FILE``."""
    parser = commands.add_parser(
        "rank", help=described, description=described,
        usage="judgekit rank --responses NAME=FILE ... --judge SOURCE -o DIR [OVERRIDES], or rank --verdicts FILE",
        epilog="Overrides are those of `judgekit eval`, such as prompt=pairwise or sampler.batch_size=8.",
    )  # fmt: skip
    parser.add_argument(
        "--responses",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a model's responses: instruction, response (JSON, CSV, TSV, parquet); again for each",
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME=SOURCE",
        help="a model or adapter that answers the prompts first; sources as of --judge",
    )
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="what models answer: the column instruction")
    parser.add_argument("--tokens", type=positive, default=512, help="longest sampled response (default: 512)")
    parser.add_argument("--response-temperature", type=float, default=0.0, metavar="T", help="default: 0, greedy")
    parser.add_argument("--judge", metavar="SOURCE", help="as of `judgekit judge`")
    parser.add_argument(
        "--verdicts",
        type=Path,
        metavar="FILE",
        help="rank recorded outcomes (model_a, model_b, verdict, group), or verdicts with --pairs",
    )
    parser.add_argument("--pairs", type=Path, metavar="FILE", help="the pairs that --verdicts are about")
    _add_outside(parser)
    _add_benchmark(parser, "--pairs")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder of pairs, verdicts and the ranking")
    parser.add_argument("--orders", choices=["both", "ab", "ba"], default="both", help="in which responses are shown")
    parser.add_argument("--samples", type=positive, default=1, metavar="K", help="of each judgment (default: 1)")
    parser.add_argument("--temperature", type=float, metavar="T", help="of judgments (default: 0, greedy)")
    parser.add_argument("--verdict", choices=["free", "constrained"], help="read from the text, or chosen")
    parser.add_argument("--sampler", metavar="NAME", help="back end: hf (default), vllm, openai or a plugin's")
    parser.add_argument("--merge", choices=MERGE_RULES, default="none", help="one verdict out of both orders")
    _add_min_votes(parser, "a majority before merging")
    parser.add_argument("--alpha", type=float, default=0.01, help="penalty on strengths squared (default: 0.01)")
    parser.add_argument("--resamples", type=positive, default=1000, help="bootstrap resamples (default: 1000)")
    parser.add_argument("--seed", type=int, help="of sampling and of the bootstrap")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--restart", action="store_true", help="judge anew instead of resuming")
    parser.set_defaults(command=_rank, overrides=[], chunk=None, skip_bad_rows=False)


def _rank(options: argparse.Namespace) -> None:
    from judgekit.commands.rank import rank

    rank(options)


def _score(options: argparse.Namespace) -> None:
    from judgekit.commands.score import score_command

    score_command(options)


def _judge(options: argparse.Namespace) -> None:
    from judgekit.commands.judge import judge

    judge(options)
