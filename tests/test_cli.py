"""The command line as a user meets it: exit codes, folders, messages, imports."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from judgekit.cli import main
from judgekit.costs import PlannedStage
from judgekit.errors import StageError
from judgekit.schema.config import RunConfig
from judgekit.schema.evaluation import EvalConfig

PROJECT = Path(__file__).resolve().parents[1]
Runs = list[tuple[RunConfig, Path]]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Runs]:
    """Recipes that only note what they were asked to run; the command is typed in an empty folder."""
    noted: Runs = []
    recipes: Any = ModuleType("judgekit.runner")
    recipes.run_recipe = lambda config, run_dir: noted.append((config, run_dir))
    planned = [
        PlannedStage("pairs/d1", 512, 128_000, True),
        PlannedStage("judgments/d1", 1024, 400_000, None, "an upper bound"),
    ]
    monkeypatch.setattr("judgekit.planning.plan", lambda config: planned)
    monkeypatch.setitem(sys.modules, "judgekit.runner", recipes)
    monkeypatch.setattr(sys, "argv", ["judgekit"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield noted
    root.handlers[:] = handlers
    root.setLevel(level)


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the next run end in an error."""

    def run_recipe(config: RunConfig, run_dir: Path) -> None:
        raise error

    monkeypatch.setattr(sys.modules["judgekit.runner"], "run_recipe", run_recipe)


@pytest.mark.parametrize(
    ("overrides", "folder"),
    [
        ([], "run"),
        (["experiment=demo"], "demo"),
        (["experiment=demo", "logger=wandb", "logger.project=p", "store=elsewhere"], "demo"),
        (["name=mine", "experiment=demo"], "mine"),
        (["seed=3", "experiment=demo", "loss.beta=0.2"], "demo--loss.beta_0.2--seed_3"),
        (["loss.beta=0.2", "seed=3", "experiment=demo"], "demo--loss.beta_0.2--seed_3"),
    ],
)
def test_a_run_has_one_folder_for_one_set_of_overrides(
    runs: Runs, tmp_path: Path, overrides: list[str], folder: str
) -> None:
    assert main(["run", *overrides]) == 0
    assert main(["run", *overrides]) == 0
    assert {run_dir for _, run_dir in runs} == {tmp_path / "outputs" / folder}
    assert (tmp_path / "outputs" / folder / "run.log").exists()
    assert not (tmp_path / "outputs" / folder / ".hydra").exists()


def test_a_run_sees_its_command_as_typed(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(sys.modules["judgekit.runner"], "run_recipe", lambda *_: seen.append(sys.argv))
    assert main(["run", "seed=1", "--debug"]) == 0
    assert seen == [["judgekit run", "seed=1"]]
    assert sys.argv == ["judgekit"]


def test_where_a_benchmark_lies_does_not_name_the_folder(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("[]")
    assert main(["run", "experiment=demo", f"benchmark.llmbar.path={tmp_path}"]) == 0
    ((config, run_dir),) = runs
    assert run_dir == tmp_path / "outputs" / "demo"
    assert config.benchmark["llmbar"].path == str(tmp_path)


def test_an_explicit_folder_wins(runs: Runs, tmp_path: Path) -> None:
    assert main(["run", "seed=4", f"hydra.run.dir={tmp_path / 'here'}"]) == 0
    assert [run_dir for _, run_dir in runs] == [tmp_path / "here"]


def test_a_grid_keeps_its_jobs_together(runs: Runs, tmp_path: Path) -> None:
    assert main(["run", "-m", "experiment=demo", "recipe.plans=1,2", "loss.beta=0.1,0.3"]) == 0
    (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert [(config.recipe.plans, config.loss.beta) for config, _ in runs] == [(1, 0.1), (1, 0.3), (2, 0.1), (2, 0.3)]
    assert [run_dir.relative_to(sweep).as_posix() for _, run_dir in runs] == [
        "0-demo--loss.beta_0.1--recipe.plans_1",
        "1-demo--loss.beta_0.3--recipe.plans_1",
        "2-demo--loss.beta_0.1--recipe.plans_2",
        "3-demo--loss.beta_0.3--recipe.plans_2",
    ]
    first = list(runs)
    assert main(["run", "-m", "experiment=demo", "recipe.plans=1,2", "loss.beta=0.1,0.3"]) == 0
    assert runs[4:] == first


@pytest.mark.parametrize(
    "arguments",
    [
        ["experiment=demo", "-m", "recipe.plans=1,2"],
        ["experiment=demo", "--config-dir", "own", "recipe.plans=1,2", "-m"],
    ],
)
def test_flags_may_stand_among_overrides(runs: Runs, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "own").mkdir()
    assert main(["run", *arguments]) == 0
    assert [(config.name, config.recipe.plans) for config, _ in runs] == [("demo", 1), ("demo", 2)]


def test_an_unknown_flag_is_refused(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["run", "experiment=demo", "--dry", "seed=1"])
    assert stop.value.code == 2
    assert "unrecognized arguments: --dry" in capsys.readouterr().err


def test_mistakes_stop_a_grid_before_anything_is_launched(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "-m", "recipe.plans=1,0", "loss=dpo,dop", "seeed=1"]) == 2
    assert (runs, list(tmp_path.iterdir())) == ([], [])
    assert capsys.readouterr() == (
        "",
        "judgekit: The configuration has 3 mistakes:\n"
        "  loss (override loss=dpo,dop): 'dop' is not one of its choices. Did you mean 'dpo'?\n"
        "  seeed (override seeed=1): unknown key. Did you mean 'seed'?\n"
        "  recipe.plans (override recipe.plans=0): 0 is out of range; allowed: at least 1\n",
    )


@pytest.mark.parametrize("command", ["run", "check"])
def test_mistakes_are_one_paragraph_and_exit_code_2(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, "recipe.plan=3", "model=smolm2_135m"]) == 2
    assert (runs, list(tmp_path.iterdir())) == ([], [])
    assert capsys.readouterr().err == (
        "judgekit: The configuration has 2 mistakes:\n"
        "  recipe.plan (override recipe.plan=3): unknown key. Did you mean 'recipe.plans'?\n"
        "  model (override model=smolm2_135m): 'smolm2_135m' is not one of its choices. "
        "Did you mean 'smollm2_135m'?\n"
    )


@pytest.mark.parametrize("flags", [["--cfg", "job", "recipe.plas=1"], ["hydra.job.chdirr=true"], ["-m", "x[=1"]])
def test_what_hydra_refuses_is_one_paragraph_too(
    runs: Runs, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    assert main(["run", *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith("judgekit: The configuration has a mistake:\n")
    assert "Traceback" not in error


def test_check_prints_stages_and_what_is_left(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "experiment=demo"]) == 0
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    assert rows == [
        ["pairs/d1", "512", "128,000", "yes", ""],
        ["judgments/d1", "1,024", "400,000", "known later", "an upper bound"],
        ["left to do", "1,024", "400,000", "", ""],
    ]
    assert runs == []


def test_a_user_error_in_a_run_is_told_once_and_logged_whole(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(monkeypatch, StageError("the disk is full"))
    assert main(["run"]) == 2
    error = capsys.readouterr().err
    assert error.count("the disk is full") == 1
    assert "Traceback" not in error
    assert "Traceback" in (tmp_path / "outputs" / "run" / "run.log").read_text(encoding="utf-8")
    with pytest.raises(StageError):
        main(["run", "--debug"])


def test_a_bug_keeps_its_traceback(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["run"])


def exit_after_interrupt() -> SystemExit:
    """What Lightning makes of Ctrl-C."""
    stop = SystemExit(1)
    stop.__context__ = KeyboardInterrupt()
    return stop


@pytest.mark.parametrize("error", [KeyboardInterrupt, exit_after_interrupt])
def test_an_interrupt_says_how_to_go_on(
    runs: Runs,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Callable[[], BaseException],
) -> None:
    fail_with(monkeypatch, error())
    assert main(["run"]) == 130
    assert capsys.readouterr().err == "judgekit: interrupted; the same command resumes where it stopped\n"


def test_hydra_flags_work(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--cfg", "job", "--package", "loss", "loss=dpo_nll"]) == 0
    assert "nll_weight: 1.5" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["run", "--help"])
    assert stop.value.code == 0
    assert "model: llama31_70b, llama31_8b" in capsys.readouterr().out
    assert runs == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("judgekit r", "run eval check explain judge compare rank read score report sweep wording sync cache export"),
        ("judgekit run loss=dpo_n", "loss=dpo_nll loss=dpo_norm"),
        ("judgekit check recipe.exec", "recipe.executions="),
        ("judgekit eval prompt=pair", "prompt=pairwise"),
        ("judgekit explain recipe.exec", "recipe.executions="),
        ("judgekit report out", ""),
    ],
)
def test_the_shell_completes_commands_and_overrides(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, expected: str
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().out.strip() == expected


@pytest.fixture
def evaluations(runs: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[EvalConfig, Path]]:
    """Evaluations that only note what they were asked to measure; two benchmarks lie in ``data``."""
    noted: list[tuple[EvalConfig, Path]] = []
    evaluator: Any = ModuleType("judgekit.evaluator")
    evaluator.evaluate = lambda config, run_dir: noted.append((config, run_dir))
    monkeypatch.setitem(sys.modules, "judgekit.evaluator", evaluator)
    for name in ("llmbar", "judgebench"):
        (tmp_path / "data" / name).mkdir(parents=True)
    monkeypatch.setenv("JUDGEKIT_BENCHMARKS", str(tmp_path / "data"))
    return noted


def test_eval_measures_a_judge_on_several_benchmarks(
    evaluations: list[tuple[EvalConfig, Path]], tmp_path: Path
) -> None:
    judge = ["judge=smollm2_135m", "prompt=pairwise", "sampler.verdict=constrained", "sampler.judge_tokens=64"]
    assert main(["eval", *judge, "benchmark=llmbar,judgebench", "-m"]) == 0
    (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert [list(config.chosen) for config, _ in evaluations] == [["llmbar"], ["judgebench"]]
    for config, folder in evaluations:
        assert config.judge.model is not None and config.judge.model.name == "smollm2_135m"
        assert (config.judge.verdict, config.judge.tokens) == ("constrained", 64)
        assert [benchmark.path for benchmark in config.chosen.values()] == [
            str(tmp_path / "data" / next(iter(config.chosen)))
        ]
        assert folder.parent == sweep and (folder / "run.log").exists()


def test_eval_takes_folders_models_and_the_hub_for_judges(
    evaluations: list[tuple[EvalConfig, Path]], tmp_path: Path
) -> None:
    common = ["eval", "benchmark=llmbar", "prompt=pairwise"]
    (tmp_path / "runs" / "a--loss.beta_0.3").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / "runs" / "a--loss.beta_0.3" / name).write_text("{}")
    assert main([*common, "judge=runs/a--loss.beta_0.3"]) == 0
    assert main([*common, f"judge={tmp_path}/runs/a--loss.beta_0.3"]) == 0
    assert main([*common, "judge=org/name@0123456789abcdef", "limit=5"]) == 0
    assert main([*common, "judge=qwen3_4b,qwen3_8b", "-m"]) == 0
    judges = [config.judge for config, _ in evaluations]
    assert [judge.path for judge in judges[:2]] == [
        "runs/a--loss.beta_0.3", f"{tmp_path}/runs/a--loss.beta_0.3",
    ]  # fmt: skip
    assert judges[2].hub == "org/name@0123456789abcdef" and evaluations[2][0].chosen["llmbar"].limit == 5
    assert [judge.model.name for judge in judges[3:] if judge.model] == ["qwen3_4b", "qwen3_8b"]
    assert len({folder for _, folder in evaluations}) == 5


def test_eval_reports_every_mistake_at_once(
    evaluations: list[tuple[EvalConfig, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ["judge=outputs/gone", "benchmark=[llmbar,roscoe]", "merge=pandas", "sampler.temperature=0", "samples=3"]
    assert main(["eval", *wrong, "sampler.shards=2", "prompt.tie=true"]) == 2
    error = capsys.readouterr().err
    assert evaluations == [] and not (tmp_path / "outputs").exists()
    for said in (
        "prompt.tie (override prompt.tie=true): unknown key",
        "merge (override merge=pandas): 'pandas' is not one of none, panda, ",
        "judge: outputs/gone is not a judge: there is no such folder. A judge is the folder of a finished run",
        "benchmark.roscoe.path (override benchmark=[llmbar,roscoe]): it is not said where its files lie, and "
        f"{tmp_path}/data/roscoe is no folder",
        "sampler.temperature (override sampler.temperature=0): greedy samples are all the same",
        "sampler.shards (override sampler.shards=2): one process judges a benchmark",
    ):
        assert said in error, said
    assert main(["eval", "-m", "judge=smollm2_135m,outputs/gone", "benchmark=llmbar", "prompt=pairwise"]) == 2
    assert "judges of several kinds in one override" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["prompt=rating", "judge.verdict=constrained"], "judge.verdict (override judge.verdict=constrained): constr"),
        (["prompt=rating", "prompt.low=5", "prompt.high=5"], "prompt.high (override prompt.high=5): a scale from 5"),
        (["prompt=pairwise", "merge=average_score"], "merge (override merge=average_score): the protocol 'pairwise'"),
        (["prompt=pairwise", "merge=average_probability"], "free verdicts have no probabilities to average"),
        (["prompt=pairwise", "judge.tokens=9000"], "judge.tokens (override judge.tokens=9000): 9000 tokens leave no"),
        (
            ["prompt=pairwise", "sampler=vllm", "judge.beams=4"],
            "judge.beams=4): sampler=vllm has no beam search. Use s",
        ),
        (["prompt=pairwise", "sampler=vllm", "sampler.beams=4"], "judge.beams (override judge.beams=4): sampler=vllm"),
        (["prompt=pairwise", "benchmark=roscoe", "benchmark.roscoe.path=data"], "has single responses to score"),
        (["prompt=pairwise", "benchmark=starter"], "these are the pairs a run held out"),
        (["prompt=pairwise", "benchmark=[]"], "benchmark (override benchmark=[]): nothing to measure on"),
        (["prompt=pairwise", "sampler=openai"], "judge: sampler=openai asks a server's own model"),
        (["prompt=pairwise", "sampler=openai", "sampler.base_url=x"], "sampler.base_url (override sampler.base_url=x)"),
        ([], "prompt: this judge does not say how it is asked. Add prompt=pairwise"),
    ],
)
def test_eval_refuses_what_cannot_work(
    evaluations: list[tuple[EvalConfig, Path]], capsys: pytest.CaptureFixture[str], overrides: list[str], said: str
) -> None:
    chosen = [] if any(text.startswith("benchmark=") for text in overrides) else ["benchmark=llmbar"]
    assert main(["eval", "judge=smollm2_135m", *chosen, *overrides]) == 2
    assert said in capsys.readouterr().err
    assert evaluations == []


def test_eval_answers_hydras_flags(
    evaluations: list[tuple[EvalConfig, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--cfg", "job", "judge=outputs/demo", "benchmark=llmbar"]) == 0
    assert "path: outputs/demo" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["eval", "--help"])
    assert stop.value.code == 0
    assert "Measures a judge on benchmarks" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["--help"], ["check", "--help"], ["score", "--help"], ["report", "--help"], ["export", "--help"]]
)
def test_help_is_quick_and_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom judgekit.cli import main\n"
        f"try:\n    main({arguments!r})\n"
        "finally:\n    print(sorted({'torch', 'transformers', 'hydra', 'numpy', 'rich'} & set(sys.modules)))\n"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=os.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: judgekit")
    assert done.stdout.splitlines()[-1] == "[]"
    assert time.perf_counter() - start < 3, "a second on an idle machine, with room for a loaded one"


def test_validating_imports_no_torch() -> None:
    program = (
        "import sys\nfrom judgekit.schema.composition import Composer\nComposer().job(['experiment=demo'])\n"
        "from judgekit.schema.evaluation import EvalConfig\n"
        "given = ['model@judge.model=qwen3_4b', 'prompt=pairwise', 'benchmark=llmbar', 'benchmark.llmbar.path=.']\n"
        "Composer(name='eval', kind=EvalConfig).job(given)\n"
        "print(sorted({'torch', 'transformers', 'lightning'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_reader_that_has_seen_enough_is_no_mistake() -> None:
    """As with ``| head``: nothing on stderr, and the status of a broken pipe."""
    program = "import sys; from judgekit.cli import main; sys.exit(main(['check', '--json', 'experiment=demo']))"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
