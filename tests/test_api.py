"""judgekit from Python, on a tiny model and on scripts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import judgekit
from judgekit.errors import ConfigError, DataError, ModelError
from judgekit.evaluation.verdict_metrics import score
from judgekit.prompts.pairwise import PairwisePrompt
from judgekit.rows import write_rows
from judgekit.samplers.hf import HfConfig
from judgekit.samplers.openai import OpenAIConfig
from judgekit.sampling.base import Request
from judgekit.schema.judges import JudgeConfig
from tests.helpers import ScriptedSampler
from tests.sampling.scripted_server import ScriptedServer, reply
from tests.training.tiny import make_model

PROJECT = Path(__file__).resolve().parents[1]
PAIRS = [
    judgekit.ResponsePair(f"p{i}", f"question {i}", f"good {i}", f"bad {i}", "A", subset="xy"[i % 2]) for i in range(4)
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("api") / "tiny", max_position_embeddings=4096)


def test_the_documented_example_runs(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of docs/evaluation.md, on the tiny model."""
    text = (PROJECT / "docs" / "evaluation.md").read_text(encoding="utf-8").partition("## From Python")[2]
    code = text.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "pairs.jsonl", PAIRS)
    model.rename(tmp_path / "model")
    try:
        found: dict[str, Any] = {}
        exec(code, found)
    finally:
        (tmp_path / "model").rename(model)
    assert len(found["verdicts"]) == 8
    assert list(found["frame"].columns) == ["judge", "name", "subset", "value", "low", "high"]
    assert found["scores"].overall["invalid_rate"] == found["result"]["invalid_rate"].value == 0.0


def scripted(model: Path, tmp_path: Path, text: str, prompt: str) -> judgekit.Judge:
    def answer(request: Request, sample: int) -> str:
        return text

    return judgekit.Judge(
        model, prompt=prompt, sampler=HfConfig(judge_tokens=64), store=tmp_path,
        make_sampler=lambda weights: ScriptedSampler(answer),
    )  # fmt: skip


def test_a_judge_compares_and_is_measured(model: Path, tmp_path: Path) -> None:
    with scripted(model, tmp_path, "[[A]]", "pairwise") as judge:
        verdicts = judge.compare(PAIRS)
        assert [(row.id, row.order, row.verdict) for row in verdicts[:2]] == [("p0", "ab", "A"), ("p0", "ba", "B")]
        found = judgekit.evaluate(judge, PAIRS)
        assert [row.order for row in judge.compare(PAIRS, orders=("ba",), samples=2)] == ["ba"] * 8
    assert found.judge == "tiny" and found.verdicts == tuple(verdicts)
    expected = score(PAIRS, verdicts, seed=0)
    for name in ("accuracy", "consistency", "first_position_rate"):
        low, high = expected.overall[f"{name}_ci95"]  # type: ignore[misc]
        assert (found[name].value, found[name].low, found[name].high) == (expected.overall[name], low, high)
    by_subset = {m.subset: m.value for m in found.measures if m.name == "n"}
    assert by_subset == {None: 4, "x": 2, "y": 2}
    assert set(found) == {m.name for m in found.measures if m.subset is None} and len(found) == len(list(found))
    frame = found.to_frame()
    assert frame[(frame.name == "accuracy") & frame.subset.isna()].value.item() == 0.5
    with pytest.raises(KeyError):
        found["acuracy"]


def test_a_judge_rates_and_is_measured(model: Path, tmp_path: Path) -> None:
    rows = [
        judgekit.ScoredResponse(f"r{i}", f"q{i // 2}", "word " * (i + 1), float(i % 5 + 1), 1.0, 5.0, f"g{i // 2}")
        for i in range(8)
    ]

    def by_length(request: Request, sample: int) -> str:
        return f"[[{1 + rows[int(request.id[1:])].response.count('word')}]]"

    judge = judgekit.Judge(
        model, prompt="rating", store=tmp_path, make_sampler=lambda weights: ScriptedSampler(by_length)
    )
    assert judge.scale == (1.0, 10.0)
    assert [row.score for row in judge.rate(row.shown for row in rows)] == [float(i + 2) for i in range(8)]
    found = judgekit.evaluate(judge, rows)
    assert found["n"].value == 8 and found["pooled_pearson"].value is not None
    assert found["pairwise_accuracy"].value == 0.75  # 2, 3 and 4, 5 and 3, 4 go up; 5, 1 goes down
    judge.close()


def test_a_server_judges(tmp_path: Path) -> None:
    with ScriptedServer(lambda body, number: reply("So: [[B]]")) as server:
        sampler = OpenAIConfig(base_url=server.url, retries=0)
        with judgekit.Judge(prompt=PairwisePrompt(), sampler=sampler, store=tmp_path) as judge:
            assert judge.name == "m"
            assert {row.verdict for row in judge.compare(PAIRS, orders=("ab",))} == {"B"}


def test_a_benchmark_is_read_by_its_kind(model: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs.jsonl", PAIRS)
    with scripted(model, tmp_path / "store", "[[A]]", "pairwise") as judge:
        found = judgekit.evaluate(judge, "pairs", tmp_path / "pairs.jsonl", limit=2, samples=3)
        assert found["n"].value == 2 and found["accuracy_at_3"].value == 0.5
        with pytest.raises(ConfigError, match="Did you mean 'llmbar'"):
            judgekit.evaluate(judge, "llmber", tmp_path)
        with pytest.raises(ConfigError, match="Give path="):
            judgekit.evaluate(judge, "llmbar")
        with pytest.raises(DataError, match="no rows"):
            judgekit.evaluate(judge, [])


def test_mistakes_name_their_remedy(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="A judge is the folder of a finished run"):
        judgekit.Judge("nowhere")
    with pytest.raises(ModelError, match="A judge is"):
        judgekit.Judge()
    with pytest.raises(ConfigError, match="is named 'pairwize'. Did you mean 'pairwise'"):
        judgekit.Judge(model, prompt="pairwize")
    with scripted(model, tmp_path, "x", "pairwise") as judge:
        with pytest.raises(ConfigError, match="Use prompt='rating'"):
            judge.rate([])
        with pytest.raises(DataError, match="'p0' is there twice"):
            judge.compare([PAIRS[0], PAIRS[0]])
    with pytest.raises(AttributeError, match="no attribute 'jugde'"):
        judgekit.jugde  # noqa: B018


def test_judge_settings_are_configuration(model: Path, tmp_path: Path) -> None:
    config = JudgeConfig(name="mine", path=str(model), verdict="constrained", dtype="float32")
    with judgekit.Judge(config, prompt=PairwisePrompt(reasoning=False), store=tmp_path) as judge:
        rows = judge.compare(PAIRS[:1])
    assert judge.name == "mine"
    assert all(row.p_a is not None and row.verdict is not None for row in rows)


def test_importing_judgekit_is_light_and_everything_is_there() -> None:
    program = (
        "import sys, judgekit\nassert not {'torch', 'numpy', 'hydra', 'pandas', 'judgekit.api'} & set(sys.modules)\n"
        "from judgekit import *\nfrom judgekit import api\n"
        "assert set(judgekit.__all__) - {'__version__'} == set(api.__all__)\n"
        "print(judgekit.Judge is api.Judge, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout == "True False\n", done.stderr
