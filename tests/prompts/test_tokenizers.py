"""Tokenizers give text back, or are not used."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from judgekit.errors import ModelError
from judgekit.prompts import tokenizers
from judgekit.prompts.chat import encode_prompt
from judgekit.prompts.tokenizers import SAMPLES, check_own_load, load_tokenizer, mangled


@pytest.fixture
def byte_level(tmp_path: Path) -> Path:
    """A folder as that of Llama 3: pieces of bytes."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    made.train_from_iterator(["hello world, hello judges of the world"], trainer)
    PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>").save_pretrained(tmp_path)
    return tmp_path


def called(folder: Path, name: str) -> None:
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"tokenizer_class": name}), "utf-8")


def test_real_text_in_a_dozen_scripts_comes_back(byte_level: Path) -> None:
    tokenizer = load_tokenizer(byte_level)
    assert [tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) for text in SAMPLES] == list(SAMPLES)
    check_own_load(byte_level)


def test_a_class_that_loses_spaces_is_passed_over(byte_level: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As the folders of DeepSeek-R1-Distill-Llama, whose class transformers 5 builds without their pre-tokenizer."""
    called(byte_level, "LlamaTokenizerFast")
    named: Any = AutoTokenizer.from_pretrained(byte_level)
    assert named.decode(named.encode("hello world", add_special_tokens=False)) == "helloworld"
    with caplog.at_level(logging.WARNING):
        tokenizer = load_tokenizer(byte_level)
    assert tokenizer.decode(tokenizer.encode("hello world")) == "hello world"
    assert "turns 'hello world' into 'helloworld'" in caplog.text
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<s>", "</s>")
    with pytest.raises(ModelError, match='Write "tokenizer_class": "PreTrainedTokenizerFast"'):
        check_own_load(byte_level)


def test_a_tokenizer_without_a_remedy_is_refused(byte_level: Path) -> None:
    file = byte_level / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    content["decoder"] = None
    file.write_text(json.dumps(content), "utf-8")
    with pytest.raises(ModelError, match="does not give text back: 'hello world' into"):
        load_tokenizer(byte_level)


def test_scripts_that_a_vocabulary_lacks_are_passed_over(tmp_path: Path) -> None:
    made = Tokenizer(models.WordLevel({"<unk>": 0, "hello": 1, "world": 2}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert mangled(PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>")) is None


def test_it_is_loaded_once(byte_level: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizers, "_LOADED", {})
    assert load_tokenizer(byte_level) is load_tokenizer(byte_level)


FAMILIES = (  # Qwen3's switch, and gpt-oss' effort, which a macro reads
    "{% macro effort() %}{% if reasoning_effort is not defined %}{% set reasoning_effort = 'medium' %}{% endif %}"
    "Reasoning: {{ reasoning_effort }}\n{% endmacro %}{{ effort() }}"
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% if enable_thinking is defined and enable_thinking is false %}"
    "<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


def test_a_template_is_rendered_with_the_arguments_it_is_given(byte_level: Path) -> None:
    (byte_level / "chat_template.jinja").write_text(FAMILIES, "utf-8")
    messages = [{"role": "user", "content": "Hi"}]
    prompts = {}
    for arguments in ({}, {"enable_thinking": False}, {"reasoning_effort": "low", "enable_thinking": True}):
        tokenizer = load_tokenizer(byte_level, template=arguments)
        prompts[str(arguments)] = tokenizer.decode(encode_prompt(tokenizer, messages))
        assert load_tokenizer(byte_level, template=dict(arguments)) is tokenizer
    assert list(prompts.values()) == [
        "Reasoning: medium\nuser: Hi\nassistant: ",
        "Reasoning: medium\nuser: Hi\nassistant: <think>\n\n</think>\n\n",
        "Reasoning: low\nuser: Hi\nassistant: ",
    ]
    with pytest.raises(ModelError, match=r"template\.thinking: .* variables are enable_thinking, reasoning_effort\."):
        load_tokenizer(byte_level, template={"thinking": True})
    with pytest.raises(ModelError, match=r"model\.template\.messages"):
        load_tokenizer(byte_level, template={"messages": "x"})
