"""Code on model cards: how to ask a judge without judgekit."""

from __future__ import annotations

from typing import Literal

from judgekit.export.finished_run import ExportRun

_LOAD = {
    "adapter": (
        "from peft import AutoPeftModelForCausalLM\nfrom transformers import AutoTokenizer",
        "model = AutoPeftModelForCausalLM.from_pretrained(folder)",
    ),
    "model": (
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "model = AutoModelForCausalLM.from_pretrained(folder)",
    ),
}

_ASK = """\
import json
import re
from pathlib import Path

{imports}

folder = "."  # this folder, or its name on the hub after a download
tokenizer = AutoTokenizer.from_pretrained(folder)
{load}
messages = json.loads(Path(folder, "prompt.json").read_text(encoding="utf-8"))


def judge(instruction, response_a, response_b):
    texts = {{"instruction": instruction, "response_a": response_a, "response_b": response_b}}
    asked = [
        {{**message, "content": re.sub(r"\\{{(\\w+)\\}}", lambda slot: texts[slot[1]], message["content"])}}
        for message in messages
    ]
    inputs = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**inputs, do_sample=False, max_new_tokens={tokens})
    reply = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
{read}"""

_READ = """\
    _, decided, end = reply.rpartition({after!r})
    verdicts = set(re.findall(r"{pattern}", end)) if decided else set()
    return reply, verdicts.pop() if len(verdicts) == 1 else None
"""
_READ_ANYWHERE = """\
    verdicts = set(re.findall(r"{pattern}", reply))
    return reply, verdicts.pop() if len(verdicts) == 1 else None
"""

_VLLM = {
    "adapter": """\
from vllm import LLM
from vllm.lora.request import LoRARequest

llm = LLM(BASE_MODEL, enable_lora=True, max_lora_rank={rank})
llm.chat(asked, sampling_params, lora_request=LoRARequest("judge", 1, FOLDER))
""",
    "model": """\
from vllm import LLM

llm = LLM(FOLDER)
llm.chat(asked, sampling_params)
""",
}


def model_snippets(run: ExportRun, kind: Literal["adapter", "model"]) -> list[str]:
    """Blocks of code for ``peft`` or ``transformers``, and for vLLM."""
    imports, load = _LOAD[kind]
    ending = run.prompt.ending
    read = "    return reply\n"
    if ending is not None:
        read = (_READ if ending.after else _READ_ANYWHERE).format(after=ending.after, pattern=ending.pattern)
    decoding = run.judge["decoding"]
    tokens = str(decoding["max_new_tokens"] + (decoding.get("thinking_tokens") or 0))
    if decoding.get("beams", 1) > 1:
        tokens += f", num_beams={decoding['beams']}, early_stopping=True"
    if decoding.get("repetition_penalty", 1) != 1:
        tokens += f", repetition_penalty={decoding['repetition_penalty']}"
    ask = _ASK.format(imports=imports, load=load, tokens=tokens, read=read)
    vllm = _VLLM[kind].format(rank=run.config["trainer"]["lora_rank"])
    return [f"```python\n{ask}```", f"With vLLM:\n\n```python\n{vllm}```"]
