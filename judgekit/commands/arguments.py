"""Arguments of the commands about judges. Commands import numpy and more, so this file imports none of them."""

from __future__ import annotations

import argparse
from pathlib import Path

# Written out, because the modules that define them import numpy.
MERGE_RULES = ("none", "panda", "both_agree", "judgebench", "average_score", "average_probability")
AGGREGATED = ("rewardbench", "rm_bench")

Commands = argparse._SubParsersAction  # generic only in annotations


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


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
    parser.add_argument("--majority", action="store_true", help="majority verdict over samples instead of sample 0")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--resamples", type=positive, default=1000, help="bootstrap resamples (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (default: 0)")
    parser.set_defaults(command=_compare)


def _compare(options: argparse.Namespace) -> None:
    from judgekit.commands.compare import compare

    compare(options)
