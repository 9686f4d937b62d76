"""Run as a program beside the package of docs/extending.md: uses everything it adds, and prints what came out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from judgekit.evaluation.benchmarks import load_benchmark
from judgekit.losses.base import Pairs
from judgekit.run_folder import RunFolder
from judgekit.runner import run_recipe
from judgekit.sampling.base import Request, SamplingParams
from judgekit.schema.composition import Composer
from judgekit.schema.config import RunConfig
from judgekit.weights import Weights
from tests.helpers import ScriptedSampler

SCRIPT = (
    ("[[A]]", "[[A]]", "[[A]]"),  # all agree
    ("[[A]]", "[[B]]", "[[A]]"),  # most do, too few
    ("The first. [[B]]",) * 3,  # says where it stands
    ("So?",) * 3,  # no verdict
)
"""What the seed samples of each of the four pairs it trains on, in both orders."""


def main(overrides: list[str]) -> dict[str, Any]:
    """Compose, check, run; the rest of the page's parts by hand."""
    config = Composer().job(overrides).config
    assert isinstance(config, RunConfig)
    places: dict[str, int] = {}

    def reply(request: Request, sample: int) -> str:
        if request.params.temperature == 0:
            return "[[A]]"
        return SCRIPT[places.setdefault(request.id.partition("/")[0], len(places))][sample]

    numbers = run_recipe(config, Path("run"), lambda weights: ScriptedSampler(reply))
    stages = {stage["name"]: stage for stage in RunFolder(Path("run")).read_manifest()["stages"]}
    pairs = Pairs(torch.tensor([[-4.0, -9.0]]), torch.zeros(1, 2), torch.tensor([[2.0, 3.0]]))
    coin = config.sampler.make(Weights(Path("model")), config.model)
    requests = [Request(str(number), (number,), SamplingParams(1.0, 1.0, 8), tuple(range(4))) for number in range(8)]
    tossed = [made.text for done in coin.stream(requests, iter(coin.plan(requests))) for _, made in done]
    coin.close()
    return {
        "metrics": numbers,
        "selected": {key: stages["demonstrations/majority"][key] for key in ("rows", "dropped")},
        "loss": config.loss.pair_loss(torch.zeros(1), pairs).tolist(),
        "quiz": [pair.response_b for pair in load_benchmark("quiz", config.benchmark["quiz"], []) or []],
        "tossed": tossed,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
