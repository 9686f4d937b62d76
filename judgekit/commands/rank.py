"""``judgekit rank``: models x prompts -> judged pairs -> win matrix, ratings, a table and a page."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from judgekit.commands.judge import configure, judge
from judgekit.data import logs
from judgekit.data.logs import VERDICT_FIELDS, split_columns
from judgekit.data.tournaments import answered_once, read_outcomes, read_prompts, read_responses, tournament_pairs
from judgekit.data.verdict_words import VerdictWords
from judgekit.errors import ConfigError, DataError, Problem
from judgekit.evaluation.gold import gold_fields, read_gold
from judgekit.evaluation.model_battles import merged_battles
from judgekit.prompts.noisy import answer_prompt
from judgekit.report.ranking_page import write_ranking_page
from judgekit.rows import json_line, write_rows
from judgekit.schema.evaluation import EvalConfig
from judgekit.stats.ranking import Battle, Tournament, tournament
from judgekit.verdict_rows import iter_verdicts

_NAMED = re.compile(r"(?P<name>[\w.+-]+)=(?P<source>.+)")


def rank(options: argparse.Namespace) -> None:
    """The command: its arguments are those of ``arguments.add_rank``.

    :raises JudgekitError: naming what cannot be ranked
    """
    if options.min_votes is not None and options.merge == "none":
        raise ConfigError([Problem("--min-votes", "there is no vote without --merge", "Add --merge RULE")])
    alone = 0
    if options.verdicts is not None:
        fought = _recorded(options)
    else:
        fought, alone = _judged(options)
    found = tournament(fought, alpha=options.alpha, resamples=options.resamples, seed=options.seed or 0)
    if len(found.names) < 2:
        raise DataError("names no two models that met; there is nothing to rank", file=options.verdicts or "responses")
    if not found.prompts:
        told = ", ".join(f"{count} {reason}" for reason, count in found.ranking.invalid.items())
        file = options.verdicts or options.output / "verdicts.jsonl"
        raise DataError(f"no two models met with a valid verdict ({told}); there is nothing to rank", file=file)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "ranking.json").write_text(
            json.dumps(ranking_values(found, alone), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        page = write_ranking_page(options.output / "ranking.html", found, alone)
        print(f"written: {page}", file=sys.stderr)
    if options.json:
        print(json.dumps(ranking_values(found, alone), indent=2, ensure_ascii=False))
    else:
        print_ranking(Console() if sys.stdout.isatty() else Console(width=120), found, alone)


def ranking_values(found: Tournament, alone: int = 0) -> dict[str, Any]:
    """The ranking as JSON: models best first, shares of wins of row over column (null where they never met).

    :param alone: prompts that only one model answered
    """
    models = [
        {
            "name": place.name, "strength": place.strength.value, "ci95": place.strength.ci95,
            "elo": round(place.elo, 2), "battles": place.strength.n, "wins": place.wins, "losses": place.losses,
            "ties": place.ties,
        }
        for place in found.ranking.places
    ]  # fmt: skip
    matrix = {
        row: {column: meetings.share for column, meetings in zip(found.names, line, strict=True) if column != row}
        for row, line in zip(found.names, found.matrix, strict=True)
    }
    return {"models": models, "wins": matrix, "invalid": found.ranking.invalid, "prompts": found.prompts,
            "answered_by_one": alone}  # fmt: skip


def _recorded(options: argparse.Namespace) -> list[Battle]:
    """Battles from a file of outcomes, or of verdicts with their pairs."""
    if options.responses or options.model or options.judge or options.overrides:
        message = "recorded outcomes are ranked as they are; leave out --responses, --model, --judge and overrides"
        raise ConfigError([Problem("--verdicts", message)])
    if options.pairs is None:
        if options.merge != "none":
            raise ConfigError([Problem("--merge", "outcomes have no orders to merge; give verdicts with --pairs")])
        if options.benchmark is not None or options.verdict_names != "response":
            raise ConfigError([Problem("--verdicts", "outcomes name models", "Give verdicts with --pairs")])
        return read_outcomes(options.verdicts, options.columns)
    fields = gold_fields(options.pairs, options.benchmark)
    columns = split_columns(options.columns, (options.pairs, fields), (options.verdicts, VERDICT_FIELDS))
    words = VerdictWords()
    pairs = read_gold(options.pairs, columns[0], benchmark=options.benchmark, words=words)
    found = logs.iter_verdicts(options.verdicts, columns[1], words=words, names=options.verdict_names, texts=False)
    verdicts = [row for _, row in found]
    words.check(options.verdicts, "verdict")
    if unknown := {row.id for row in verdicts} - {pair.id for pair in pairs}:
        raise DataError(f"there is no pair '{min(unknown)}' in {options.pairs}", file=options.verdicts, field="id")
    return merged_battles(pairs, verdicts, options.merge, options.min_votes)


def _judged(options: argparse.Namespace) -> tuple[list[Battle], int]:
    """Battles from responses, given or sampled, that the judge compares; all of it is kept in the output folder.

    :return: also the prompts that only one model answered
    """
    if options.benchmark is not None or options.verdict_names != "response":
        message = "--benchmark and --verdict-names are about recorded verdicts"
        raise ConfigError([Problem("--verdicts", message, "Leave them out, or give --verdicts and --pairs")])
    if options.merge != "none" and options.orders != "both":
        message = f"--orders {options.orders} gives no two verdicts to merge"
        raise ConfigError([Problem("--merge", message, f"Leave out --merge {options.merge}")])
    if options.output is None:
        raise ConfigError([Problem("-o", "verdicts need a folder to be kept in", "Add -o FOLDER")])
    files = dict(_named("--responses", text) for text in options.responses)
    models = dict(_named("--model", text) for text in options.model)
    if len({*files, *models}) < max(2, len(files) + len(models)):
        message = "two or more models, each under a name of its own, are needed"
        raise ConfigError([Problem("--responses", message, "Add --responses NAME=FILE or --model NAME=SOURCE")])
    options.output.mkdir(parents=True, exist_ok=True)
    responses = {name: read_responses(Path(file), options.columns) for name, file in files.items()}
    if models:
        if options.prompts is None:
            raise ConfigError([Problem("--prompts", "models need prompts to answer", "Add --prompts FILE")])
        prompts = read_prompts(options.prompts, options.columns)
        for name, source in models.items():
            responses[name] = _sampled(options, name, source, prompts)
    pairs = tournament_pairs(responses)
    if not pairs:
        raise DataError("no two of the models answered the same prompt", file="responses")
    options.input, verdicts = options.output / "pairs.jsonl", options.output / "verdicts.jsonl"
    write_rows(options.input, pairs)
    judge(argparse.Namespace(**vars(options) | {"output": verdicts, "merge": "none", "min_votes": None,
                                                     "columns": {}}))  # fmt: skip
    fought = merged_battles(pairs, iter_verdicts(verdicts, texts=False), options.merge, options.min_votes)
    return fought, answered_once(responses)


def _named(option: str, text: str) -> tuple[str, str]:
    match = _NAMED.fullmatch(text)
    if match is None:
        raise ConfigError([Problem(option, f"{text!r} does not name a model and where it is", "Write NAME=SOURCE")])
    return match["name"], match["source"]


def _sampled(
    options: argparse.Namespace, name: str, source: str, prompts: Sequence[str]
) -> dict[str, tuple[str, str | None]]:
    """A model's responses to prompts, also left in the output folder. Finished ones come from the store."""
    from judgekit.judges import find_judge, judge_weights
    from judgekit.named_judge import judge_config
    from judgekit.samplers.hf import HfConfig
    from judgekit.sampling.backends import text_sampler
    from judgekit.sampling.base import SamplingParams
    from judgekit.sampling.text import TextRequest

    config: EvalConfig = configure(argparse.Namespace(**vars(options) | {"input": options.prompts}))
    sampler = config.sampler if config.sampler.takes_weights else HfConfig()
    found = find_judge(judge_config(source), sampler)
    assert found.model is not None
    params = SamplingParams(0.0, 1.0, options.tokens)
    if options.response_temperature > 0:
        params = SamplingParams(options.response_temperature, sampler.top_p, options.tokens, seed=config.seed)
    model = text_sampler(judge_weights(found), found.model, sampler, Path(config.store))
    try:
        requests = [TextRequest(str(place), answer_prompt(text), params) for place, text in enumerate(prompts)]
        replies = model.ask(requests, None, f"responses of {name}")
        for reason in replies.refused.values():
            print(f"{name}: a prompt is left out: {reason}", file=sys.stderr)
        answered = {int(place): reply.text.strip() for (place, _), reply in replies.generations.items()}
    finally:
        model.close()
    folder = options.output / "responses"
    folder.mkdir(exist_ok=True)
    lines = [json_line({"instruction": prompts[place], "response": text}) + "\n" for place, text in answered.items()]
    (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return {prompts[place]: (text, None) for place, text in answered.items()}


def print_ranking(console: Console, found: Tournament, alone: int = 0) -> None:
    """The ratings and the win matrix.

    :param alone: prompts that only one model answered
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", title_justify="left",
                  title=Text("Bradley-Terry ratings, 95 % intervals over prompts", style="bold"))  # fmt: skip
    table.add_column("", overflow="fold")
    for column in ("Elo", "strength", "95 %", "battles", "won", "lost", "tied"):
        table.add_column(column, justify="right", no_wrap=True)
    for place in found.ranking.places:
        ends = place.strength.ci95
        table.add_row(
            Text(place.name), f"{place.elo:.0f}", f"{place.strength.value or 0.0:.2f}",
            "–" if ends is None else f"[{ends[0]:.2f}, {ends[1]:.2f}]", str(place.strength.n), str(place.wins),
            str(place.losses), str(place.ties),
        )  # fmt: skip
    console.print(table, "")
    wins = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", title_justify="left",
                 title=Text("% of battles the row wins against the column, ties as half", style="bold"))  # fmt: skip
    wins.add_column("", overflow="fold")
    for name in found.names:
        wins.add_column(Text(name), justify="right", no_wrap=True)
    for name, line in zip(found.names, found.matrix, strict=True):
        shares = [meetings.share for meetings in line]
        wins.add_row(Text(name), *("–" if share is None else f"{100 * share:.1f}" for share in shares))
    console.print(wins)
    invalid = found.ranking.invalid
    told = ", ".join(f"{count} {reason}" for reason, count in invalid.items())
    console.print(Text(f"{found.prompts} prompts; invalid verdicts, left out: {sum(invalid.values())}"
                       + (f" ({told})" if told else "")))  # fmt: skip
    if alone:
        console.print(Text(f"prompts that only one model answered, left out: {alone}"))
