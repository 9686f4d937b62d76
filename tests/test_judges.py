"""What a judge can be: a run, an adapter, a model, the hub or a server; each is found, described and asked."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from judgekit.errors import ConfigError, DataError, JudgekitError, ModelError
from judgekit.judges import decoding_of, find_judge, open_judge, plain_name
from judgekit.named_judge import judge_config
from judgekit.prompts.autoj import AutoJPrompt
from judgekit.prompts.base import PromptConfig
from judgekit.prompts.evalplanner import EvalPlanner, EvalPlannerPrompt
from judgekit.prompts.pairwise import Pairwise, PairwisePrompt
from judgekit.prompts.pandalm import PandaLMPrompt
from judgekit.samplers.hf import HfConfig
from judgekit.samplers.openai import OpenAIConfig
from judgekit.samplers.vllm import VllmConfig
from judgekit.sampling.backends import used_digest
from judgekit.sampling.base import SamplingParams
from judgekit.sampling.budget import ThinkingSampler
from judgekit.sampling.text import TextRequest
from judgekit.schema.judges import JudgeConfig
from judgekit.schema.models import ModelConfig
from judgekit.weights import Weights
from tests.sampling.scripted_server import ScriptedServer
from tests.training.tiny import make_model

HF = HfConfig(judge_tokens=8, batch_size=4)
COMMIT = "a" * 40


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("judges") / "tiny", max_position_embeddings=2048)


def description(model: Path, **values: Any) -> dict[str, Any]:
    """``judge.yaml`` as a run writes it."""
    return {
        "judge": "dpo1",
        "base_model": asdict(ModelConfig(name="tiny", path=str(model), dtype="float32", max_length=1024)),
        "adapter": False,
        "protocol": asdict(EvalPlannerPrompt(style="brief")),
        "decoding": {"temperature": 0.0, "max_new_tokens": 5, "verdict": "constrained"},
    } | values


def make_run(folder: Path, model: Path, **values: Any) -> Path:
    (folder / "judge").mkdir(parents=True)
    (folder / "judge" / "judge.yaml").write_text(yaml.safe_dump(description(model, **values)))
    return folder


@pytest.fixture(scope="module")
def adapter(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter whose B is not zero, so that it changes replies."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("adapters") / "lora"
    base = AutoModelForCausalLM.from_pretrained(model)
    config = LoraConfig(r=4, lora_alpha=64, target_modules="all-linear", init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        get_peft_model(base, config).save_pretrained(folder)
    return folder


def ask(judge: JudgeConfig, store: Path, **settings: Any) -> tuple[str, str, str]:
    """Name, digest and a greedy reply of a judge."""
    prompt = ({"role": "user", "content": "Which is better?"},)
    with open_judge(judge, HF, settings.pop("prompt", PairwisePrompt()), store) as opened:
        request = TextRequest("x", prompt, opened.decoding.greedy)
        reply = opened.ask.ask([request], None).generations["x", 0]
        return opened.name, opened.digest, reply.text


def test_a_run_brings_its_protocol_and_its_decoding(model: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", model)
    for folder in (run, run / "judge"):
        with open_judge(JudgeConfig(path=str(folder)), HF, None, tmp_path) as opened:
            assert (opened.name, opened.decoding.tokens, opened.decoding.constrained) == ("dpo1", 5, True)
            assert opened.protocol == EvalPlanner(EvalPlannerPrompt(style="brief"))
            assert opened.ask.max_length == 1024
    own = JudgeConfig(name="my judge", path=str(run), tokens=7, verdict="free", dtype="bfloat16", max_length=512)
    with open_judge(own, HF, PairwisePrompt(ties=True), tmp_path) as opened:
        assert (opened.name, opened.decoding.tokens, opened.decoding.constrained) == ("my-judge", 7, False)
        assert opened.protocol == Pairwise(PairwisePrompt(ties=True))
        assert opened.ask.max_length == 512
        found = find_judge(own, HF).model
        assert found is not None and opened.digest == used_digest(Weights(model), found, HF)


def test_a_runs_decoding_goes_with_its_judge(model: Path, tmp_path: Path) -> None:
    decoding = {"temperature": 0.0, "max_new_tokens": 5, "verdict": "free", "beams": 3, "repetition_penalty": 1.1}
    run = str(make_run(tmp_path / "run", model, decoding=decoding))
    params = SamplingParams(0.0, 1.0, 5, beams=3, repetition_penalty=1.1)
    with open_judge(JudgeConfig(path=run), HF, None, tmp_path) as opened:
        assert opened.decoding.greedy == params
        assert opened.decoding.drawn(0.7, 0.9, 2) == SamplingParams(0.7, 0.9, 5, seed=2, repetition_penalty=1.1)
    with open_judge(JudgeConfig(path=run, beams=1), HF, None, tmp_path) as opened:
        assert opened.decoding.greedy == replace(params, beams=1)
    refused = pytest.raises(ConfigError, match="judge.beams: sampler=vllm has no beam search. Use sampler=hf")
    with refused, open_judge(JudgeConfig(path=run), VllmConfig(), None, tmp_path):
        raise AssertionError("vLLM has no beams")


def test_a_run_says_how_its_judge_thinks_and_what_it_is_shown(model: Path, tmp_path: Path) -> None:
    decoding = {"max_new_tokens": 5, "verdict": "free", "strip_thoughts": True, "thinking_tokens": 64}
    run = JudgeConfig(path=str(make_run(tmp_path / "run", model, decoding=decoding)))
    digests = set()
    for judge, sampler, budget, strips in (
        (run, HF, 64, True),
        (replace(run, strip_thoughts=False), replace(HF, thinking_tokens=8), 8, False),
    ):
        with open_judge(judge, sampler, None, tmp_path) as opened:
            assert isinstance(opened.ask, ThinkingSampler) and opened.ask.budget == budget
            assert opened.decoding.strip_thoughts is strips
            digests.add(opened.digest)
    assert len(digests) == 2, "with another budget it is another judge"


def test_pandalm_decodes_as_released() -> None:
    """Four beams, repetition penalty 1.2, 512 new tokens: its release, ``pandalm_inference.py``."""
    judge = judge_config("pandalm_7b")
    decoding = decoding_of(judge, find_judge(judge, HfConfig()), HfConfig())
    assert decoding.greedy == SamplingParams(0.0, 1.0, 512, beams=4, repetition_penalty=1.2)


def test_models_and_adapters_are_told_apart_by_their_files(model: Path, adapter: Path, tmp_path: Path) -> None:
    whole = ask(JudgeConfig(path=str(model), dtype="float32"), tmp_path)
    adapted = ask(JudgeConfig(path=str(adapter), dtype="float32"), tmp_path)
    assert (whole[0], adapted[0]) == ("tiny", "lora")
    assert whole[1] != adapted[1] and whole[2] != adapted[2]
    named = ModelConfig(name="tiny", path=str(model), dtype="float32", max_length=2048)
    assert ask(JudgeConfig(model=named), tmp_path)[1:] == whole[1:]
    moved = ask(JudgeConfig(path=str(adapter), model=named), tmp_path)
    assert moved == adapted


def test_a_run_with_an_adapter_asks_the_adapter(model: Path, adapter: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", model, adapter=True)
    for file in adapter.iterdir():
        (run / "judge" / file.name).write_bytes(file.read_bytes())
    left = ask(JudgeConfig(path=str(run), tokens=8), tmp_path / "store")
    assert left[0] == "dpo1"
    assert left[1:] == ask(JudgeConfig(path=str(adapter), dtype="float32"), tmp_path / "store")[1:]


def test_a_servers_model_is_named_by_the_server(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        sampler = OpenAIConfig(base_url=server.url, judge_tokens=9)
        with open_judge(JudgeConfig(), sampler, PairwisePrompt(), tmp_path) as opened:
            prompt = ({"role": "user", "content": "hello"},)
            replies = opened.ask.ask([TextRequest("x", prompt, opened.decoding.greedy)], None)
            assert replies.generations["x", 0].text == "to hello"
            assert (opened.name, opened.decoding.tokens) == ("m", 9)
        with pytest.raises(ConfigError, match="asks a server's own model, and outputs/demo was given too"):
            find_judge(JudgeConfig(path="outputs/demo"), sampler)


def test_one_word_names_a_judge(model: Path) -> None:
    assert judge_config(model) == JudgeConfig(path=str(model))
    hub = judge_config(f"org/name@{COMMIT}")
    assert find_judge(hub, HF).model == ModelConfig(name="name", hub_id="org/name", revision=COMMIT)
    named = judge_config("qwen3_0_6b").model
    assert named is not None and named.hub_id == "Qwen/Qwen3-0.6B"


@pytest.mark.parametrize("source", ["org/name", "org/name@main", "nowhere", "../model/llama3_8b"])
def test_what_is_no_judge_is_told_what_judges_look_like(source: str) -> None:
    with pytest.raises(ModelError, match="A judge is the folder of a finished run") as error:
        judge_config(source)
    assert source in str(error.value)


def broken(folder: Path, model: Path, case: str) -> JudgeConfig:
    folder.mkdir()
    if case == "run without a judge":
        (folder / "manifest.json").write_text("{}")
    elif case == "pickled model":
        (folder / "config.json").write_text("{}")
        (folder / "pytorch_model.bin").touch()
    elif case == "adapter of nothing":
        (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/gone"}))
    elif case == "description":
        (make_run(folder / "run", model) / "judge" / "judge.yaml").write_text("judge: x")
        return JudgeConfig(path=str(folder / "run"))
    elif case == "unknown protocol":
        make_run(folder / "run", model, protocol={"name": "guess"})
        return JudgeConfig(path=str(folder / "run"))
    return JudgeConfig(path=str(folder)) if case != "nothing" else JudgeConfig()


@pytest.mark.parametrize(
    ("case", "kind", "said"),
    [
        ("run without a judge", ModelError, "has left no judge: give its command again"),
        ("empty folder", ModelError, "is not a judge. A judge is"),
        ("pickled model", ModelError, "is a pickle, which is not read"),
        ("adapter of nothing", ModelError, "Give the base with model@judge.model=NAME"),
        ("description", DataError, "judge.yaml: does not describe a judge"),
        ("unknown protocol", DataError, "guess"),
        ("nothing", ModelError, "No judge is named"),
    ],
)
def test_each_mistake_names_file_and_remedy(
    model: Path, tmp_path: Path, case: str, kind: type[JudgekitError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        find_judge(broken(tmp_path / "it", model, case), HF)


def test_a_model_without_a_protocol_asks_for_one(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not say how it is asked. Add prompt=pairwise"):
        with open_judge(JudgeConfig(path=str(model)), HF, None, tmp_path):
            pass


@pytest.mark.parametrize(("name", "plain"), [("a b/c", "a-b-c"), ("../x", "x"), ("..", "judge"), ("dpo1", "dpo1")])
def test_names_can_stand_in_paths(name: str, plain: str) -> None:
    assert plain_name(name) == plain


@pytest.mark.parametrize(
    ("name", "prompt"), [("pandalm_7b", PandaLMPrompt(chat=False)), ("autoj_13b", AutoJPrompt(parser="release"))]
)
def test_released_judges_bring_their_protocol_and_want_a_commit(
    name: str, prompt: PromptConfig, tmp_path: Path
) -> None:
    config = judge_config(name)
    own = replace(prompt, wording="own")  # type: ignore[call-arg]
    found = find_judge(config, HfConfig())
    assert found.name == name and found.prompt == prompt and found.model is not None and found.model.revision is None
    with (
        pytest.raises(ModelError, match=r"judge\.model\.revision=COMMIT"),
        open_judge(config, HfConfig(), own, tmp_path),
    ):
        raise AssertionError("there is no commit to fetch")
