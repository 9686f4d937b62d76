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
from judgekit.data.sources import read_pairs
from judgekit.data.tournaments import read_outcomes, read_prompts, read_responses, tournament_pairs
from judgekit.errors import ConfigError, DataError, Problem
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
    fought = _recorded(options) if options.verdicts is not None else _judged(options)
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
            json.dumps(ranking_values(found), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        page = write_ranking_page(options.output / "ranking.html", found)
        print(f"written: {page}", file=sys.stderr)
    if options.json:
        print(json.dumps(ranking_values(found), indent=2, ensure_ascii=False))
    else:
        print_ranking(Console() if sys.stdout.isatty() else Console(width=120), found)


def ranking_values(found: Tournament) -> dict[str, Any]:
    """The ranking as JSON: models best first, shares of wins of row over column (null where they never met)."""
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
    return {"models": models, "wins": matrix, "invalid": found.ranking.invalid, "prompts": found.prompts}


def _recorded(options: argparse.Namespace) -> list[Battle]:
    """Battles from a file of outcomes, or of verdicts with their pairs."""
    if options.responses or options.model or options.judge or options.overrides:
        message = "recorded outcomes are ranked as they are; leave out --responses, --model, --judge and overrides"
        raise ConfigError([Problem("--verdicts", message)])
    if options.pairs is None:
        if options.merge != "none":
            raise ConfigError([Problem("--merge", "outcomes have no orders to merge; give verdicts with --pairs")])
        return read_outcomes(options.verdicts)
    pairs = read_pairs(options.pairs, blank_instructions=True)
    verdicts = list(iter_verdicts(options.verdicts, texts=False))
    if unknown := {row.id for row in verdicts} - {pair.id for pair in pairs}:
        raise DataError(f"there is no pair '{min(unknown)}' in {options.pairs}", file=options.verdicts, field="id")
    return merged_battles(pairs, verdicts, options.merge)


def _judged(options: argparse.Namespace) -> list[Battle]:
    """Battles from responses, given or sampled, that the judge compares; all of it is kept in the output folder."""
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
    responses = {name: read_responses(Path(file)) for name, file in files.items()}
    if models:
        if options.prompts is None:
            raise ConfigError([Problem("--prompts", "models need prompts to answer", "Add --prompts FILE")])
        prompts = read_prompts(options.prompts)
        for name, source in models.items():
            responses[name] = _sampled(options, name, source, prompts)
    pairs = tournament_pairs(responses)
    if not pairs:
        raise DataError("no two of the models answered the same prompt", file="responses")
    options.input, verdicts = options.output / "pairs.jsonl", options.output / "verdicts.jsonl"
    write_rows(options.input, pairs)
    judge(argparse.Namespace(**vars(options) | {"output": verdicts, "merge": "none"}))
    return merged_battles(pairs, iter_verdicts(verdicts, texts=False), options.merge)


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


def print_ranking(console: Console, found: Tournament) -> None:
    """The ratings and the win matrix."""
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
