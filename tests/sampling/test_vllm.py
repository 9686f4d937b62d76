"""``sampler=vllm`` without vLLM: what it asks an engine, what it makes of the answers, and what it refuses to start."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from judgekit.errors import MissingExtraError, ModelError, StageError
from judgekit.prompts.chat import encode_reply
from judgekit.samplers.vllm import VllmConfig
from judgekit.sampling import vllm, vllm_environment, vllm_limits
from judgekit.sampling.backends import hand_over
from judgekit.sampling.base import Finished, Generation, Request, SamplingParams
from judgekit.sampling.cache import GenerationCache
from judgekit.sampling.engine_process import EngineProcess
from judgekit.sampling.streams import stream_key
from judgekit.sampling.text import TextSampler
from judgekit.sampling.vllm import VllmSampler, engine_arguments, lora_rank
from judgekit.schema.config import RunConfig
from judgekit.schema.models import ModelConfig
from judgekit.stages.lab import Lab
from judgekit.weights import Weights
from tests.sampling.echo_engine import DIE, REFUSE
from tests.training.tiny import make_model

GREEDY = SamplingParams(0.0, 1.0, 16)
DRAWN = SamplingParams(0.8, 0.9, 16, stop=("\n",), seed=4)
MODEL = ModelConfig(name="tiny", max_length=512)

Make = Callable[..., VllmSampler]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Samplers over scripted engines."""
    made: list[VllmSampler] = []

    def engine(module: str, settings: dict[str, Any], environment: dict[str, str]) -> EngineProcess:
        assert module == "judgekit.sampling.vllm_engine" and settings["engine"]["model"] == str(folder)
        return EngineProcess("tests.sampling.echo_engine", {}, {})

    def sampler(adapter: Path | None = None, **settings: Any) -> VllmSampler:
        made.append(VllmSampler(Weights(folder, adapter), MODEL, VllmConfig(**settings)))
        return made[-1]

    monkeypatch.setattr(vllm, "EngineProcess", engine)
    monkeypatch.setattr(vllm, "on_cpu", lambda: True)
    monkeypatch.setattr(vllm, "environment", lambda config, number: {})
    yield sampler
    for one in made:
        one.close()


def run(sampler: VllmSampler, requests: list[Request]) -> dict[tuple[str, int], Generation]:
    finished: Finished = []
    for some in sampler.stream(requests, iter(sampler.plan(requests))):
        finished += some
    assert len({item for item, _ in finished}) == len(finished)
    return {(requests[index].id, sample): generation for (index, sample), generation in finished}


def test_prompts_that_share_a_beginning_stand_together_whatever_the_order(make: Make) -> None:
    prompts = {"a": (5, 6, 1), "b": (9,), "c": (5, 6, 2), "d": (9, 1), "e": (5, 6)}
    requests = [Request(name, ids, DRAWN, (0, 1)) for name, ids in prompts.items()]
    plan = make().plan(requests)
    assert [requests[batch[0][0]].id for batch in plan] == list("eeaaccbbdd")
    assert all(len(batch) == 1 for batch in plan)


def test_replies_and_how_they_ended(make: Make) -> None:
    requests = [Request("one", (5, 6), GREEDY), Request("two", (7, 8), DRAWN, (0, 3))]
    found = run(make(), requests)
    assert found["one", 0].token_ids == (6, 5) and found["one", 0].finish == "eos"
    assert found["two", 3].finish == "stop" and found["two", 3].prompt_tokens == 2
    seeds = {sample: int(found["two", sample].text.split()[2]) for sample in (0, 3)}
    assert seeds == {sample: stream_key(requests[1], sample) >> 1 for sample in (0, 3)}
    assert "greedy" in found["one", 0].text
    assert "greedy" in run(make(seeded=False), requests)["two", 0].text


def test_the_engine_is_told_the_penalty(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    send = EngineProcess.send

    def watched(engine: EngineProcess, command: dict[str, Any]) -> None:
        sent.append(command)
        send(engine, command)

    monkeypatch.setattr(EngineProcess, "send", watched)
    run(make(), [Request("one", (5, 6), GREEDY), Request("two", (7, 8), replace(GREEDY, repetition_penalty=1.2))])
    assert [command["repetition_penalty"] for command in sent if "ticket" in command] == [1.0, 1.2]


def test_a_verdict_is_chosen_by_the_scores_of_its_tokens(make: Make) -> None:
    params = replace(GREEDY, choices=("[[A]]", "[[B]]", "tie"))
    sampler = make()
    found = run(sampler, [Request("r", (5,), params), Request("s", (6,), params)])["r", 0]
    ids = {text: encode_reply(sampler._tokenizer, text, end=False) for text in params.choices}
    # The engine's score of a token is its id: the larger id wins wherever texts part.
    best = max(params.choices, key=lambda text: ids[text])
    assert found.finish == "choice" and found.text == best
    assert found.choice_probs is not None and sum(found.choice_probs.values()) == pytest.approx(1.0)


def test_two_engines_share_the_work(make: Make) -> None:
    requests = [Request(f"r{number}", (5, number), GREEDY) for number in range(12)]
    found = run(make(data_parallel=2, max_sequences=3), requests)
    assert len(found) == 12 and len({generation.text.split()[-1] for generation in found.values()}) == 2


def test_no_more_is_queued_than_there_is_room_for(make: Make) -> None:
    taken: list[int] = []

    def batches() -> Iterator[tuple[tuple[int, int], ...]]:
        for number in range(40):
            taken.append(number)
            yield ((number, 0),)

    requests = [Request(f"r{number}", (5, number), GREEDY) for number in range(40)]
    stream = make(max_sequences=4).stream(requests, batches())
    first = next(stream)
    assert len(taken) == 8 and len(first) <= 8
    assert len(first) + sum(len(some) for some in stream) == 40


def test_a_dead_engine_keeps_what_was_finished_and_says_how_to_go_on(make: Make) -> None:
    requests = [Request("good", (5,), GREEDY), Request("deadly", (DIE,), GREEDY), Request("later", (DIE + 5,), GREEDY)]
    sampler, got = make(), []
    with pytest.raises(StageError) as caught:
        for some in sampler.stream(requests, iter(sampler.plan(requests))):
            got += [requests[item[0]].id for item, _ in some]
    told = str(caught.value)
    assert got == ["good"]
    assert "died while 2 replies were under way" in told and "SIGKILL" in told and "CUDA error" in told
    assert "run the same command again" in told
    assert run(sampler, requests[:1])["good", 0].token_ids == (5,)


def test_answers_nobody_waits_for_do_not_reach_the_next_call(make: Make) -> None:
    requests = [Request(f"r{number}", (5, number), GREEDY) for number in range(40)]
    sampler = make(max_sequences=8)
    stream = sampler.stream(requests, iter(sampler.plan(requests)))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert len(run(sampler, requests[:3])) == 3


def test_the_next_adapter_is_served_by_the_engine_of_the_last(make: Make, tmp_path: Path) -> None:
    served: dict[str, tuple[str, str]] = {}
    held = text_sampler(make(), tmp_path)
    for name, rank in (("first", 8), ("second", 8), ("larger", 64), ("none", None)):
        adapted = adapter(tmp_path / name, r=rank, lora_alpha=len(name)) if rank is not None else None
        if adapted is not None and adapted.adapter is not None:
            (adapted.adapter / "adapter_model.safetensors").write_bytes(name.encode())
        follower = text_sampler(make(adapter=adapted.adapter if adapted is not None else None), tmp_path)
        hand_over(held, follower)
        held = follower
        assert isinstance(held.sampler, VllmSampler)
        number, engine = run(held.sampler, [Request("r", (5, 6), GREEDY)])["r", 0].text.split()[-2:]
        served[name] = (number, engine)
    assert served["first"][1] == served["second"][1]
    assert len({engine for _, engine in served.values()}) == 3  # another rank, or none, is another engine
    assert len({number for number, _ in served.values()}) == 4 and served["none"][0] == "0"


def test_engines_that_cannot_be_taken_over_are_ended(make: Make, tmp_path: Path) -> None:
    held = make()
    run(held, [Request("r", (5, 6), GREEDY)])
    (engine,) = held._engines
    unservable = adapter(tmp_path / "dora", use_dora=True).adapter
    with pytest.raises(ModelError, match="use_dora"):
        hand_over(text_sampler(held, tmp_path), text_sampler(make(adapter=unservable), tmp_path))
    assert engine.process.poll() is not None


def test_a_dead_engine_is_not_taken_over(make: Make, tmp_path: Path) -> None:
    held, follower = make(), make()
    run(held, [Request("r", (5, 6), GREEDY)])
    held._engines[0].process.kill()
    held._engines[0].process.wait()
    hand_over(text_sampler(held, tmp_path), text_sampler(follower, tmp_path))
    assert run(follower, [Request("r", (5, 6), GREEDY)])["r", 0].token_ids == (6, 5)


def test_the_checkpoints_of_a_training_are_judged_by_one_engine(make: Make, folder: Path, tmp_path: Path) -> None:
    config = RunConfig(
        name="held", store=str(tmp_path), model=replace(MODEL, path=str(folder)), sampler=VllmConfig(),
    )  # fmt: skip
    lab, engines = Lab(config, None), set()
    for name in ("first", "second"):
        weights = Weights(folder, adapter(tmp_path / name).adapter)
        assert weights.adapter is not None
        (weights.adapter / "adapter_model.safetensors").write_bytes(name.encode())
        sampler = lab.ask(weights).sampler
        assert isinstance(sampler, VllmSampler)
        run(sampler, [Request("r", (5, 6), GREEDY)])
        engines.update(engine.process.pid for engine in sampler._engines)
    lab.release()
    assert len(engines) == 1


def text_sampler(sampler: VllmSampler, folder: Path) -> TextSampler:
    return TextSampler(None, sampler, GenerationCache(folder, "a" * 64), 512)


def test_a_refused_prompt_is_named(make: Make) -> None:
    with pytest.raises(StageError, match="prompt of wordy: the prompt is too long"):
        run(make(), [Request("wordy", (REFUSE,), GREEDY)])


# --- arguments and limits


def adapter(folder: Path, **settings: Any) -> Weights:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 12, **settings}))
    return Weights(folder, folder)


def test_an_adapter_is_served_with_the_smallest_rank_that_holds_it(tmp_path: Path) -> None:
    weights = adapter(tmp_path / "plain")
    found = engine_arguments(weights, MODEL, VllmConfig(), cpu=False)
    assert found["max_lora_rank"] == 16 and found["enable_lora"]
    unset = {"bias": "none", "rank_pattern": {}, "alpha_pattern": {}, "layer_replication": None, "use_dora": False}
    assert lora_rank(adapter(tmp_path / "unset", peft_type="LORA", **unset)) == 16
    for name, settings in {
        "use_dora": {"use_dora": True},
        "modules_to_save": {"modules_to_save": ["lm_head"]},
        # a module's own rank or alpha is a scale of its own, and vLLM has one for all
        "rank_pattern": {"rank_pattern": {"q_proj": 40}},
        "alpha_pattern": {"alpha_pattern": {"q_proj": 64}},
        "bias": {"bias": "lora_only"},
        "trainable_token_indices": {"trainable_token_indices": [5]},
        "target_parameters": {"target_parameters": ["experts.down_proj"]},
        "layer_replication": {"layer_replication": [[0, 2], [1, 3]]},
        "rank 999": {"r": 999},
        "one of IA3": {"peft_type": "IA3"},
    }.items():
        with pytest.raises(ModelError, match=f"{name}.*sampler=hf"):
            lora_rank(adapter(tmp_path / name, **settings))
    (tmp_path / "one of IA3" / "adapter_config.json").write_text(json.dumps({"peft_type": "IA3"}))
    with pytest.raises(ModelError, match="one of IA3"):
        lora_rank(Weights(tmp_path, tmp_path / "one of IA3"))


def test_arguments_follow_the_machine_and_the_options(folder: Path) -> None:
    config = VllmConfig(options={"swap_space": "2", "quantization": "fp8"}, tensor_parallel=2)
    gpu = engine_arguments(Weights(folder), MODEL, config, cpu=False)
    assert gpu["swap_space"] == 2 and gpu["quantization"] == "fp8" and gpu["tensor_parallel_size"] == 2
    assert gpu["enforce_eager"] is False and "enable_lora" not in gpu and "enable_chunked_prefill" not in gpu
    cpu = engine_arguments(Weights(folder), MODEL, VllmConfig(), cpu=True)
    assert cpu["enforce_eager"] is True and cpu["enable_chunked_prefill"] is False
    assert cpu["max_num_batched_tokens"] >= MODEL.max_length


def test_what_cannot_fit_is_said_before_an_engine_starts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = Weights(folder)
    vllm_limits.check(weights, MODEL, VllmConfig(), cpu=True)
    with pytest.raises(ModelError, match="model.max_length asks for 1000000"):
        vllm_limits.check(weights, replace(MODEL, max_length=1_000_000), VllmConfig(), cpu=True)
    with pytest.raises(ModelError, match="sampler.cpu_memory leaves 0.0. Raise it to"):
        vllm_limits.check(weights, MODEL, VllmConfig(cpu_memory=1e-6), cpu=True)
    monkeypatch.setattr(vllm_limits, "available_memory", lambda: 2.0**30)
    with pytest.raises(ModelError, match="this machine's memory leaves 1.0"):
        vllm_limits.check(weights, MODEL, VllmConfig(), cpu=True)
    whole, half = (80 * 2.0**30, 80 * 2.0**30), (80 * 2.0**30, 40 * 2.0**30)
    monkeypatch.setattr(vllm_limits, "gpu_memory", lambda: [whole, half])
    vllm_limits.check(weights, MODEL, VllmConfig(), cpu=False)  # the second GPU is not wanted
    with pytest.raises(ModelError, match=r"gpu_memory=0.9 asks for 72.0 GiB of a GPU that has 40.0 .* to 0.49 or less"):
        vllm_limits.check(weights, MODEL, VllmConfig(data_parallel=2), cpu=False)
    vllm_limits.check(weights, MODEL, VllmConfig(data_parallel=2, gpu_memory=0.4), cpu=False)
    with pytest.raises(ModelError, match="asks for 4 GPUs, and 2 can be seen"):
        vllm_limits.check(weights, MODEL, VllmConfig(data_parallel=2, tensor_parallel=2), cpu=False)
    with pytest.raises(ModelError, match="a GPU's memory"):
        vllm_limits.check(weights, MODEL, VllmConfig(gpu_memory=1e-6), cpu=False)


def test_only_the_gpus_of_this_process_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "nvidia-smi"
    script.write_text('#!/bin/sh\necho "$@" > "$0.asked"\necho "81920, 40960"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert vllm_limits.gpu_memory() == [(80 * 2.0**30, 40 * 2.0**30)]
    assert "--id=3" in (tmp_path / "nvidia-smi.asked").read_text()


def test_a_context_costs_what_keys_and_values_of_all_layers_take() -> None:
    llama = {"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 4096}
    assert vllm_limits.cache_bytes_per_token(llama) == 128 * 1024  # Llama-3.1-8B in 16 bits
    assert vllm_limits.cache_bytes_per_token({"num_hidden_layers": 2}) == 0


def test_the_environment_splits_cores_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 3, 6, 7})
    monkeypatch.setattr(vllm_environment, "on_cpu", lambda: True)
    both = [vllm_environment.environment(VllmConfig(data_parallel=2, cpu_memory=1.5), number) for number in (0, 1)]
    assert [found["VLLM_CPU_OMP_THREADS_BIND"] for found in both] == ["2,3", "6,7"]
    assert both[0]["OMP_NUM_THREADS"] == "2" and both[0]["VLLM_CPU_KVCACHE_SPACE"] == "1.5"
    monkeypatch.setattr(vllm_environment, "on_cpu", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    config = VllmConfig(data_parallel=2, tensor_parallel=2)
    assert vllm_environment.environment(config, 1)["CUDA_VISIBLE_DEVICES"] == "6,7"
    assert "CUDA_VISIBLE_DEVICES" not in vllm_environment.environment(VllmConfig(), 0)


def test_without_vllm_both_ways_to_get_it_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise vllm_environment.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(vllm_environment.importlib.metadata, "version", nothing)
    with pytest.raises(MissingExtraError, match=r"judgekit-lab\[vllm\].*make vllm-cpu"):
        vllm_environment.on_cpu.__wrapped__()


@pytest.mark.parametrize(
    ("written", "stop", "text"),
    [("[THINK]a[/THINK]b<|im_end|>", (), "[THINK]a[/THINK]b"), ("[THINK]a[/THINK]b, ", (",",), "[THINK]a[/THINK]b")],
)
def test_markers_of_thoughts_that_the_engine_leaves_out_are_put_back(
    folder: Path, written: str, stop: tuple[str, ...], text: str
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]"]})
    ids = tokenizer.encode(written, add_special_tokens=False)
    answer = {"text": "ab", "ids": ids, "reason": "stop", "stopped_by_text": bool(stop)}
    request = Request("r", (5, 6), replace(GREEDY, stop=stop))
    assert vllm._generation(answer, request, tokenizer).text == text
    assert vllm._generation(answer | {"ids": [5]}, request, tokenizer).text == "ab"
