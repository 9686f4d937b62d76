"""vLLM as its own documentation uses it: ``LLM.generate`` on a list of prompts. Served like an engine of judgekit's."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def main() -> None:
    """Load the model, then time one list of requests after another."""
    source, results = os.fdopen(int(sys.argv[1]), "rb"), os.fdopen(int(sys.argv[2]), "wb", buffering=0)
    settings = json.loads(source.readline())
    from vllm import LLM

    model = LLM(**settings["engine"])
    results.write(json.dumps(["ready"]).encode() + b"\n")
    for line in source:
        requests = json.loads(line)["requests"]
        prompts = [{"prompt_token_ids": request["prompt"]} for request in requests]
        params = [_params(request, settings["ends"]) for request in requests]
        began = time.perf_counter()
        outputs = model.generate(prompts, params, use_tqdm=False)
        seconds = time.perf_counter() - began
        tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
        results.write(json.dumps([{"seconds": seconds, "tokens": tokens}]).encode() + b"\n")


def _params(request: dict[str, Any], ends: list[int]) -> Any:
    from vllm import SamplingParams

    return SamplingParams(
        temperature=request["temperature"], top_p=request["top_p"], max_tokens=request["max_tokens"],
        stop=request["stop"], seed=request["seed"], stop_token_ids=ends,
    )  # fmt: skip


if __name__ == "__main__":
    main()
