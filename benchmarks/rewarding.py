"""How fast Meta-Rewarding selects its pairs at the paper's scale.

``python -m benchmarks.rewarding`` prints one JSON object: seconds and peak memory for the battle matrices and Elo of
5,000 prompts with 11 judgments each (550,000 comparisons), and for the actor's pairs of 385,000 judgments.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np

from judgekit.preferences.judgment_battles import Contest, contest_pairs
from judgekit.recipes.self_rewarding.actor_pairs import ActorRules, actor_pairs
from judgekit.rows import ORDERS, Candidate, Judgment, PointJudgment, Verdict


def battles(prompts: int, judgments: int) -> dict[str, Any]:
    """Seconds from verdicts to the judge's pairs; the verdicts follow strengths, with a preference for the first."""
    draw = np.random.default_rng(0)
    contests, verdicts = list[Contest](), list[Judgment]()
    for number in range(prompts):
        candidate = Candidate(f"p{number}/r0", f"p{number}", "ask", "answer", 1)
        rows = tuple(PointJudgment(candidate.id, i, 3.0, None, f"judgment {i}", 1) for i in range(judgments))
        contests.append(Contest(candidate, rows))
        strength = draw.normal(size=judgments)
        for one, two in combinations(range(judgments), 2):
            for order, lean in zip(ORDERS, (0.5, -0.5), strict=True):
                won = draw.random() < 1 / (1 + np.exp(strength[two] - strength[one] - lean))
                named: Verdict = "A" if won else "B"
                verdicts.append(Judgment(f"{candidate.id}#{one}-{two}", order, 0, named, None, ""))
    found, spent = _timed(lambda: contest_pairs(contests, verdicts, seed=0))
    return {"prompts": prompts, "comparisons": len(verdicts), "pairs": len(found.kept)} | spent


def selection(prompts: int, responses: int, judgments: int) -> dict[str, Any]:
    """Seconds from judgments to the actor's pairs."""
    draw = np.random.default_rng(0)
    candidates, rows = list[Candidate](), list[PointJudgment]()
    for number in range(prompts):
        for place in range(responses):
            name = f"p{number}/r{place}"
            candidates.append(Candidate(name, f"p{number}", "ask", "x" * int(draw.integers(100, 3000)), 1))
            scores = np.clip(np.round(draw.normal(4, 1, judgments)), 0, 5)
            rows += [PointJudgment(name, i, float(score), None, "", 1) for i, score in enumerate(scores)]
    found, spent = _timed(lambda: actor_pairs(candidates, rows, ActorRules(seed=0, rho=0.32, min_valid=6)))
    return {"judgments": len(rows), "pairs": len(found.kept)} | spent


def _timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    started = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return found, {"seconds": round(seconds, 2), "peak_gib": round(peak, 2)}


def main(arguments: list[str]) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=5000)
    parser.add_argument("--responses", type=int, default=7)
    parser.add_argument("--judgments", type=int, default=11)
    chosen = parser.parse_args(arguments)
    found = {
        "judge_pairs": battles(chosen.prompts, chosen.judgments),
        "actor_pairs": selection(chosen.prompts, chosen.responses, chosen.judgments),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
