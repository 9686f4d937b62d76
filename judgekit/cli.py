"""The command line. Nothing heavy is imported until a command needs it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from judgekit.commands.arguments import add_compare, add_judge, add_rank, add_score, split_columns
from judgekit.errors import ConfigError, JudgekitError, Problem

_EPILOG = "Overrides: GROUP=NAME chooses a config file, GROUP.FIELD=VALUE sets a value. See `judgekit run --help`."


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code: 0 done, 1 a bug, 2 a mistake the user can mend, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    typed = sys.argv
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as stop:
        # Lightning turns Ctrl-C into an exit of its own.
        if isinstance(stop.__context__, KeyboardInterrupt):
            return _interrupted()
        raise
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` does; nothing is to be written when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (JudgekitError, OSError) as error:
        if debug:
            raise
        print(f"judgekit: {error}", file=sys.stderr)
        return 2
    finally:
        sys.argv = typed


def _interrupted() -> int:
    print("judgekit: interrupted; the same command resumes where it stopped", file=sys.stderr)
    return 130


def _dispatch(arguments: list[str]) -> int:
    # Hydra reads the arguments of these itself, flags included.
    if arguments[:1] in (["run"], ["eval"]):
        from judgekit.app import APPLICATIONS, run

        run(arguments[1:], APPLICATIONS[arguments[0]])
        return 0
    if arguments[:1] in (["-sc"], ["--shell-completion"]):
        from judgekit.app import complete

        complete(arguments, list(_COMMANDS))
        return 0
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    # Overrides may stand anywhere among the options, which argparse alone cannot read.
    if rest and not (hasattr(options, "overrides") and all("=" in text and text[:1] != "-" for text in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.overrides = [*options.overrides, *rest]
    split_columns(options)
    command: Callable[[argparse.Namespace], None] = options.command
    command(options)
    return 0


def _check(options: argparse.Namespace) -> None:
    from judgekit.app import register_resolvers
    from judgekit.commands.check import check, check_as_json

    register_resolvers()
    if not options.json:
        check(options.overrides, options.config_dir)
    elif not check_as_json(options.overrides, options.config_dir):
        raise SystemExit(2)


def _explain(options: argparse.Namespace) -> None:
    from rich.console import Console

    from judgekit.app import register_resolvers
    from judgekit.commands.explain import explain
    from judgekit.planning import readers

    register_resolvers()
    explain(options.overrides, Console(), options.config_dir, readers)


def _report(options: argparse.Namespace) -> None:
    from judgekit.commands.report import report

    report(options.folder, markdown=options.format == "md", metric=options.metric, judge=options.judge)


def _read(options: argparse.Namespace) -> None:
    from judgekit.app import register_resolvers
    from judgekit.commands.read import read_replies

    register_resolvers()
    files = [text for text in options.arguments if "=" not in text or Path(text).exists()]
    if len(files) != 1:
        raise ConfigError([Problem("FILE", f"{len(files)} files are given", "Give one file with replies")])
    overrides = [text for text in options.arguments if text not in files]
    read_replies(Path(files[0]), overrides, options.output)


def _cache(options: argparse.Namespace) -> None:
    from judgekit.commands import cache

    if options.action == "info":
        cache.print_info(options.store)
    elif options.action == "compact":
        cache.compact_cache(options.store)
    else:
        cache.prune_cache(options.store, days=options.older_than, weights=options.weights, dry_run=options.dry_run)


def _wording(options: argparse.Namespace) -> None:
    from judgekit.prompts.wording import import_wording

    print(import_wording(options.release, options.source))


def _sweep(options: argparse.Namespace) -> None:
    from judgekit.commands import sweep

    if options.action == "status":
        sweep.print_status([sweep.find_sweep(name) for name in options.sweeps], options.json, options.watch)
        return
    folder = sweep.find_sweep(options.sweep)
    if options.action == "retry":
        sweep.retry(folder, options.limits)
    elif options.action == "cancel":
        sweep.cancel(folder)
    else:
        sweep.write_collected(folder, options.output)


def _export(options: argparse.Namespace) -> None:
    from judgekit.export import export
    from judgekit.export.pickles import write_safetensors

    if options.safetensors:
        print(write_safetensors(options.run_dir, options.output))
        return
    for folder in export(options.run_dir, options.output, merged=options.merged, data=options.data):
        print(folder)


def _sync(options: argparse.Namespace) -> None:
    from judgekit.commands.sync import sync

    sync(options.folders)


_COMMANDS = {
    "run": "make a judge: data, judgments, preferences, training, evaluation, report",
    "eval": "measure a judge on benchmarks, in both orders: judge=FOLDER benchmark=NAME",
    "check": "list every mistake in a configuration, or what it would run and cost",
    "explain": "what a field of the configuration means, may hold and holds, and who set it",
    "judge": "judge pairs, score responses or rank several responses to one instruction",
    "compare": "two judges on the same pairs: differences with intervals and tests",
    "rank": "rank models by pairwise wins: a win matrix, Bradley-Terry ratings, a page",
    "read": "how a protocol reads replies: verdict or score, or why there is none; prompt=NAME FILE",
    "score": "metrics of anyone's verdicts or scores, as JSON",
    "report": "write report.html of a run or a sweep, or print its tables as markdown",
    "sweep": "how the jobs of a sweep are; start failed ones again, end them, collect their numbers",
    "wording": "the sentences of released judges' prompts, which are not shipped",
    "sync": "upload what runs recorded for W&B offline",
    "cache": "what the cache of generations holds, and making it smaller",
    "export": "write the judge of a finished run for peft, transformers and vLLM, and its training rows for TRL",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="judgekit", description="Train, evaluate and study LLM judges.", epilog=_EPILOG
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks of errors (any command)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("run", help=_COMMANDS["run"], add_help=False)
    commands.add_parser("eval", help=_COMMANDS["eval"], add_help=False)
    check = commands.add_parser("check", help=_COMMANDS["check"], description=_COMMANDS["check"], epilog=_EPILOG)
    check.add_argument("overrides", nargs="*", help="as of `judgekit run`")
    check.add_argument("--config-dir", "-cd", type=Path, help="a folder of config groups searched first")
    check.add_argument("--json", action="store_true", help="one JSON object: mistakes, or stages with what they read")
    check.set_defaults(command=_check)
    explained = commands.add_parser(
        "explain", help=_COMMANDS["explain"], description=_COMMANDS["explain"], epilog=_EPILOG
    )
    explained.add_argument(
        "overrides", nargs="+", metavar="KEY", help="such as recipe.plans, or GROUP=NAME for all its fields; overrides"
    )
    explained.add_argument("--config-dir", "-cd", type=Path, help="a folder of config groups searched first")
    explained.set_defaults(command=_explain)
    add_judge(commands, _COMMANDS["judge"])
    add_compare(commands, _COMMANDS["compare"])
    add_rank(commands, _COMMANDS["rank"])
    read = commands.add_parser(
        "read", help=_COMMANDS["read"], description=_COMMANDS["read"],
        epilog="Overrides are those of `judgekit eval`, such as prompt.ties=true.",
    )  # fmt: skip
    read.add_argument("arguments", nargs="+", metavar="FILE|OVERRIDE", help="rows {text, truncated}; prompt=NAME ...")
    read.add_argument("-o", "--output", type=Path, metavar="OUT", help="JSON Lines (default: stdout)")
    read.set_defaults(command=_read)
    add_score(commands, _COMMANDS["score"])
    report = commands.add_parser("report", help=_COMMANDS["report"], description=_COMMANDS["report"])
    report.add_argument("folder", type=Path, help="a folder that `judgekit run` or `judgekit run -m` wrote")
    report.add_argument("--format", choices=["html", "md"], default="html", help="md: markdown tables on stdout")
    report.add_argument("--metric", metavar="NAME", help="of a sweep: compare by this (default: consistent_accuracy)")
    report.add_argument("--judge", metavar="NAME", help="of a sweep: this judge (default: the one each run leaves)")
    report.set_defaults(command=_report)
    _add_sweep(commands)
    sync = commands.add_parser("sync", help=_COMMANDS["sync"], description=_COMMANDS["sync"])
    sync.add_argument("folders", type=Path, nargs="+", metavar="RUN_OR_SWEEP", help="folders of runs or sweeps")
    sync.set_defaults(command=_sync)
    _add_wording(commands)
    _add_cache(commands)
    export = commands.add_parser("export", help=_COMMANDS["export"], description=_COMMANDS["export"])
    export.add_argument("run_dir", type=Path, help="a folder that `judgekit run` wrote")
    export.add_argument("--merged", action="store_true", help="also merge the adapter into the base model")
    export.add_argument("--data", action="store_true", help="also write the training rows, as conversations")
    export.add_argument(
        "--safetensors", action="store_true", help="DIR is a model with pickled weights: write it with safetensors"
    )
    export.add_argument("-o", "--output", type=Path, metavar="DIR", help="default: export/ in the run's folder")
    export.set_defaults(command=_export)
    return parser


def _add_sweep(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sweep = commands.add_parser("sweep", help=_COMMANDS["sweep"], description=_COMMANDS["sweep"])
    sweep.set_defaults(command=_sweep)
    actions = sweep.add_subparsers(required=True, metavar="ACTION", dest="action")
    described = {
        "status": "the state of every job",
        "retry": "start the jobs again that ended without being done, with the same configurations",
        "cancel": "end the jobs that are queued or running",
        "collect": "write one table of overrides, final numbers and cost, and the sweep's report",
    }
    parsers = {name: actions.add_parser(name, help=text, description=text) for name, text in described.items()}
    which = (
        "the folder that `judgekit run -m` wrote, a part of its name below outputs/sweeps that only it has, or latest"
    )
    for name, action in parsers.items():
        if name != "status":
            action.add_argument("sweep", metavar="SWEEP", help=which)
    parsers["status"].add_argument("sweeps", nargs="+", metavar="SWEEP", help=which)
    parsers["status"].add_argument("--json", action="store_true", help="as JSON")
    parsers["status"].add_argument(
        "--watch", action="store_true", help="in a terminal: look again and again until no job is under way"
    )
    parsers["retry"].add_argument(
        "limits", nargs="*", metavar="FIELD=VALUE", help="settings of the launcher from now on, such as minutes=90"
    )
    parsers["collect"].add_argument(
        "-o", "--output", type=Path, metavar="FILE", help=".csv or .parquet; default: both, in the sweep's folder"
    )


def _add_wording(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    wording = commands.add_parser("wording", help=_COMMANDS["wording"], description=_COMMANDS["wording"])
    actions = wording.add_subparsers(required=True, metavar="ACTION")
    told = "read them from the release's own file into the user's configuration folder, once they are known by digest"
    read = actions.add_parser("import", help=told, description=told)
    read.add_argument("release", metavar="NAME", help="autoj, judgelm or pandalm")
    read.add_argument(
        "--from",
        type=Path,
        required=True,
        dest="source",
        metavar="CLONE",
        help="a clone of the repository, or the file",
    )
    read.set_defaults(command=_wording)


def _add_cache(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    cache = commands.add_parser("cache", help=_COMMANDS["cache"], description=_COMMANDS["cache"])
    cache.set_defaults(command=_cache)
    actions = cache.add_subparsers(required=True, metavar="ACTION", dest="action")
    described = {
        "info": "list weights with their generations",
        "prune": "remove generations; folders that a process uses are kept",
        "compact": "join small segments into one",
    }
    parsers = {name: actions.add_parser(name, help=text, description=text) for name, text in described.items()}
    for action in parsers.values():
        action.add_argument("store", type=Path, help="the store's folder, such as outputs/store")
    which = parsers["prune"].add_mutually_exclusive_group(required=True)
    which.add_argument("--older-than", type=_days, metavar="AGE", help="those unused for so long: 12h, 30d, 4w")
    which.add_argument("--weights", metavar="DIGEST", help="those of the weights whose digest begins so")
    which.add_argument("--all", action="store_true", help="all of them")
    parsers["prune"].add_argument("--dry-run", action="store_true", help="say what would be removed, remove nothing")


def _days(text: str) -> float:
    """An age such as ``12h``, ``30d`` or ``4w`` in days."""
    units = {"h": 1 / 24, "d": 1.0, "w": 7.0}
    if text[-1:] not in units:
        raise ValueError(text)
    return float(text[:-1]) * units[text[-1:]]
