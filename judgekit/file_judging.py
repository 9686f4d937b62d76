"""A file of rows in; verdicts, scores or rankings out, chunk by chunk and resumable."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from judgekit.data.inputs import Candidates, InputRow, Survey, read_inputs, survey
from judgekit.errors import ConfigError, DataError, Problem
from judgekit.evaluation.journal import Journal, Spent
from judgekit.evaluation.judging import judge_many, judge_pairs, rate_responses
from judgekit.evaluation.verdict_tables import (
    MERGED_COLUMNS,
    RANKING_COLUMNS,
    SCORE_COLUMNS,
    VERDICT_COLUMNS,
    Summary,
    check_ending,
    merged_rows,
    ranking_rows,
    write_output,
)
from judgekit.judges import OpenJudge, open_judge
from judgekit.prompts.base import ManyProtocol, PointProtocol, PromptConfig
from judgekit.rows import ORDERS, Order, Response, ResponsePair, json_line
from judgekit.samplers.base import SamplerConfig
from judgekit.sampling.backends import MakeSampler
from judgekit.sampling.base import SamplingParams
from judgekit.schema.checks import verdict_tokens
from judgekit.schema.judges import JudgeConfig
from judgekit.stages.stage import keyed
from judgekit.store import Workspace
from judgekit.tracking.progress import ProgressDisplay
from judgekit.verdict_rows import MergeRule, iter_verdicts, verdict_values

VERSION = 1
"""Raised whenever the same input and judge give other rows."""
SHOWN = 1000
"""Bad rows named in full."""
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be judged, and how.

    :param orders: in which responses of a pair are shown
    :param samples: of each judgment
    :param temperature: 0 is greedy
    :param chunk: input rows that are judged together before their verdicts are written
    :param merge: rule that makes one verdict of both orders, in a file of its own
    :param columns: {our field: their column} where the input's names differ
    :param min_votes: valid votes that the majority of several samples takes before merging; None: more than half
    """

    input: Path
    output: Path
    orders: tuple[Order, ...] = ORDERS
    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    chunk: int = 64
    merge: MergeRule = "none"
    min_votes: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    skip_bad_rows: bool = False
    restart: bool = False


def judge_file(
    asked: Asked,
    judge: JudgeConfig,
    sampler: SamplerConfig,
    prompt: PromptConfig | None,
    store: Path,
    make_sampler: MakeSampler | None = None,
) -> Summary:
    """Judge an input into an output, or go on where a killed process stopped.

    :param prompt: protocol; None: the one the judge brings
    :param store: where the judge's replies are kept
    :raises DataError: for an input with bad rows, unless they are to be skipped
    :raises JudgekitError: for a judge that cannot be asked, and an output made from something else
    """
    check_ending(asked.output)
    found = survey(asked.input, asked.columns)
    _check(asked, found)
    with (
        ProgressDisplay() as progress,
        open_judge(judge, sampler, prompt, store, progress, make_sampler) as opened,
    ):
        if found.kind == "responses" and not isinstance(opened.protocol, PointProtocol):
            message = f"the protocol '{opened.prompt.name}' compares two responses, and {asked.input} has single ones"
            raise ConfigError([Problem("prompt.name", message, "Use prompt=rating")])
        if opened.decoding.constrained and not verdict_tokens(opened.prompt):
            message = f"constrained decoding chooses among verdicts, and the protocol '{opened.prompt.name}' has none"
            raise ConfigError([Problem("--verdict", message, "Use --verdict free or another protocol")])
        path, *made = _files(asked, found)
        with Journal(path, _identity(asked, found, opened), made, restart=asked.restart) as journal:
            return _judge(asked, found, opened, journal)


def _check(asked: Asked, found: Survey) -> None:
    """What can be said before a judge is loaded."""
    if found.bad:
        shown = "".join(f"\n  {error}" for error in found.bad[:SHOWN])
        more = f"\n  and {len(found.bad) - SHOWN} more" if len(found.bad) > SHOWN else ""
        count = f"{len(found.bad)} of {found.rows + found.repeated + len(found.bad)} rows cannot be judged"
        if not asked.skip_bad_rows:
            remedy = "mend them, or leave them out with --skip-bad-rows"
            raise DataError(f"{count}; {remedy}:{shown}{more}", file=asked.input)
        _say(f"{asked.input}: {count} and are skipped:{shown}{more}")
    if asked.input.resolve() in (path.resolve() for path in _files(asked, found)):
        raise DataError("is the input too; name another file with -o", file=asked.output)
    if not found.rows:
        raise DataError("holds no row that can be judged", file=asked.input)
    if asked.merge != "none" and (found.kind != "pairs" or len(asked.orders) < len(ORDERS)):
        what = f"{found.kind} have no" if found.kind != "pairs" else f"--orders {asked.orders[0]} gives no"
        raise DataError(f"{what} two verdicts to merge; leave out --merge {asked.merge}", file=asked.input)
    if asked.min_votes is not None and asked.merge == "none":
        raise ConfigError([Problem("--min-votes", "there is no vote without --merge", "Add --merge RULE")])
    if asked.samples > 1 and asked.temperature == 0:
        message = f"{asked.samples} samples of greedy decoding are the same"
        raise ConfigError([Problem("--samples", message, "Add --temperature, for example 0.7")])


def _files(asked: Asked, found: Survey) -> list[Path]:
    """The JSON Lines file that grows, then those made of it at the end.

    The first is the output itself, or stands beside an output of another kind.
    """
    files = [asked.output]
    if found.kind == "candidates" or asked.output.suffix != ".jsonl":
        files = [_beside(asked.output, "scores" if found.kind == "responses" else "verdicts", ".jsonl"), asked.output]
    return files if asked.merge == "none" else [*files, _beside(asked.output, "merged")]


def _beside(output: Path, what: str, ending: str | None = None) -> Path:
    return output.with_name(f"{output.stem}.{what}{ending or output.suffix}")


def _identity(asked: Asked, found: Survey, opened: OpenJudge) -> dict[str, Any]:
    """All that determines the rows, named as messages do."""
    decoding = _params(asked, opened).key | {"constrained": opened.decoding.constrained}
    if opened.decoding.strip_thoughts:
        decoding["strip_thoughts"] = True
    named = "".join(f" {field}={asked.columns[field]}" for field in sorted(asked.columns))
    orders = list(asked.orders) if found.kind != "responses" else []
    return {
        "input": found.sha256 + named, "judge": opened.digest, "prompt": keyed(opened.prompt), "decoding": decoding,
        "choice of orders": orders, "number of samples": asked.samples, "chunk size": asked.chunk, "version": VERSION,
    }  # fmt: skip


def _params(asked: Asked, opened: OpenJudge) -> SamplingParams:
    """Greedy decoding is the same whatever the seed, and so are its replies in the cache."""
    if asked.temperature == 0:
        return opened.decoding.greedy
    return opened.decoding.drawn(asked.temperature, asked.top_p, asked.seed)


def _judge(asked: Asked, found: Survey, opened: OpenJudge, journal: Journal) -> Summary:
    sizes = (sum(_rows_of(row, asked) for row in chunk) for chunk in _chunks(_input(asked, found), asked.chunk))
    whole = journal.resume(sizes)
    done = min(whole * asked.chunk, found.rows)
    if done == found.rows:
        _say(f"{asked.output}: all {found.rows} {found.kind} are judged already")
    elif done:
        _say(f"{asked.output}: going on after {done} of {found.rows} {found.kind}")
    said = time.monotonic()
    for chunk in islice(_chunks(_input(asked, found), asked.chunk), whole, None):
        began = time.monotonic()
        workspace = journal.workspace()
        rows = _ask(chunk, asked, opened, workspace, f"{done + 1}-{done + len(chunk)} of {found.rows} {found.kind}")
        journal.append((json_line(row) for row in rows), workspace, time.monotonic() - began)
        done += len(chunk)
        if time.monotonic() - said > SAY_SECONDS and not sys.stderr.isatty():
            said = time.monotonic()
            _say(f"{done} of {found.rows} {found.kind}")
    return _finish(asked, found, journal)


SAY_SECONDS = 20.0
"""Time between two lines of progress where there is no terminal."""


def _input(asked: Asked, found: Survey) -> Iterator[InputRow]:
    """The rows that were found good."""
    return read_inputs(asked.input, found.kind, lambda error: None, asked.columns)


def _chunks(rows: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(rows)
    while chunk := list(islice(remaining, size)):
        yield chunk


def _rows_of(row: InputRow, asked: Asked) -> int:
    """How many rows come of an input row."""
    if isinstance(row, Response):
        return asked.samples
    pairs = len(row.pairs) if isinstance(row, Candidates) else 1
    return pairs * len(asked.orders) * asked.samples


def _ask(
    chunk: Sequence[InputRow], asked: Asked, opened: OpenJudge, workspace: Workspace, title: str
) -> list[dict[str, Any]]:
    params = _params(asked, opened)
    samples = tuple(range(asked.samples))
    chunk = opened.decoding.shown(chunk, workspace)
    responses = [row for row in chunk if isinstance(row, Response)]
    if responses:
        assert isinstance(opened.protocol, PointProtocol)
        scores = rate_responses(
            opened.ask, opened.protocol, responses, params, samples=samples, workspace=workspace, title=title
        )
        return [asdict(row) for row in scores]
    lists = [row for row in chunk if isinstance(row, Candidates)]
    if lists and isinstance(opened.protocol, ManyProtocol) and opened.protocol.at_once:
        verdicts = judge_many(
            opened.ask, opened.protocol, lists, asked.orders, params, samples=samples, workspace=workspace, title=title
        )
        return [verdict_values(row) for row in verdicts]
    pairs: list[ResponsePair] = []
    for row in chunk:
        pairs += row.pairs if isinstance(row, Candidates) else [row] if isinstance(row, ResponsePair) else []
    verdicts = judge_pairs(
        opened.ask, opened.protocol, pairs, asked.orders, params, constrained=opened.decoding.constrained,
        samples=samples, workspace=workspace, title=title,
    )  # fmt: skip
    return [verdict_values(row) for row in verdicts]


def _finish(asked: Asked, found: Survey, journal: Journal) -> Summary:
    """Make what is made of all rows, and sum up."""
    path, output = journal.path, asked.output
    if found.kind == "candidates":
        rows = (row for row in _input(asked, found) if isinstance(row, Candidates))
        judgments = len(asked.orders) * asked.samples
        write_output(output, ranking_rows(rows, iter_verdicts(path, texts=False), judgments), RANKING_COLUMNS)
    elif path != output:
        write_output(output, _read(path), SCORE_COLUMNS if found.kind == "responses" else VERDICT_COLUMNS)
    if asked.merge != "none":
        rows_merged = merged_rows(iter_verdicts(path, texts=False), asked.merge, asked.min_votes)
        write_output(_beside(output, "merged"), rows_merged, MERGED_COLUMNS)
    summary = Summary()
    for values in _read(path):
        summary.add(values)
    _say(_told(found, summary, journal.spent, _files(asked, found)))
    return summary


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a journal."""
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)


def _told(found: Survey, summary: Summary, spent: Spent, written: Sequence[Path]) -> str:
    what = "scores" if found.kind == "responses" else "verdicts"
    lines = [f"{found.rows} {found.kind}, {summary.rows} {what}"]
    if found.bad or found.repeated:
        lines[0] += f" ({len(found.bad)} bad rows skipped, {found.repeated} repeated rows left out)"
    reasons = ", ".join(f"{count} {reason}" for reason, count in summary.invalid.most_common())
    lines.append(f"invalid: {summary.invalid.total()}" + (f" ({reasons})" if reasons else ""))
    if summary.first_position_rate is not None:
        lines.append(f"first position: {100 * summary.first_position_rate:.1f} % of the verdicts that name a response")
    thought = f" ({spent.thought_tokens:,} of them thought)" if spent.thought_tokens else ""
    tokens = f"{spent.prompt_tokens:,} prompt, {spent.generated_tokens:,} generated{thought}"
    lines.append(f"tokens: {tokens}; {spent.seconds:.0f} s judging")
    return "\n".join([*lines, *(f"written: {path}" for path in written)])


def _say(text: str) -> None:
    """Messages go to stderr: stdout may be the output of something else."""
    print(text, file=sys.stderr, flush=True)
