"""Query augmentation with a scripted teacher: counts equal a table worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from judgekit.prompts.critiquellm import CritiquePairPrompt
from judgekit.recipes.critiquellm.augmentation import augment_queries
from judgekit.recipes.critiquellm.config import AugmentationConfig, CritiqueLLMConfig
from judgekit.rows import Instruction, read_rows
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.base import Request
from judgekit.schema.config import RunConfig
from judgekit.schema.models import ModelConfig
from judgekit.schema.teachers import TeacherConfig
from judgekit.stages.lab import Lab
from judgekit.stages.teaching import find_teacher
from judgekit.tracking.recording import recorded
from tests.helpers import Given, ScriptedSampler
from tests.training.tiny import make_model

SEEDS = [
    Instruction("s1", "Name three rivers of Asia.", "own", "own/knowledge"),
    Instruction("s2", "Why does bread rise?", "own", "own/knowledge"),
    Instruction("s4", "What do whales eat?", "own", "own/knowledge"),
    Instruction("s5", "写一则寓言。", "own", "own/文本写作"),
    Instruction("s3", "写一首关于春天的诗。", "own", "own/文本写作"),
]
LISTS = {
    # one that is a seed's, one like a seed (5 of 5 and 5 tokens but one: F = 0.8), two new ones
    "own/knowledge#0": "1. Name three rivers of Asia.\n2. Name three rivers of Africa.\n3. How do planes stay up?\n"
    "4. What makes the sky look blue at noon?",
    # one written before, one like another new one, one that has no difficulty
    "own/knowledge#1": "1. how do planes stay  up?\n2. What makes the sky look blue at night?\n"
    "3. Who was Ada Lovelace?",
    "own/文本写作#0": "1. 为一家书店写广告词。\n2. 给老师写一封感谢信。",
    "own/文本写作#1": "我不会写。",
}
LEVELS = {
    "How do planes stay up?": "Difficulty: 3", "What makes the sky look blue at noon?": "Difficulty: 1",
    "Who was Ada Lovelace?": "Easy.", "为一家书店写广告词。": "Difficulty: 2", "给老师写一封感谢信。": "Difficulty: 2",
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model", max_position_embeddings=2048)


def test_new_queries_are_filtered_and_balanced(tiny: Path, tmp_path: Path) -> None:
    rules = AugmentationConfig(enabled=True, asks=2, per_ask=4, examples=2, count=3, tokens=200)
    config = RunConfig(
        seed=4,
        store=str(tmp_path / "store"),
        model=ModelConfig(name="tiny", path=str(tiny), dtype="float32", max_length=2048),
        prompt=CritiquePairPrompt(style="en"),
        recipe=CritiqueLLMConfig(augmentation=rules),
        sampler=HfConfig(judge_tokens=64),
        teacher=TeacherConfig(max_failed=0.3),
    )
    texts: dict[str, str] = {}

    def answer(request: Request, _: int) -> str:
        if request.id in LISTS:
            return LISTS[request.id]
        return LEVELS[texts[request.id]]

    with recorded(config, tmp_path / "run") as record:
        lab = Lab(config, record, lambda _: ScriptedSampler(answer))
        given = lab.make(Given(called="instructions", files={"instructions": SEEDS, "given": []}))
        texts |= _Names()
        stage = augment_queries(lab, find_teacher(lab), given).done
        found = {name: one["rows"] | {"dropped": one["dropped"]} for name, one in _stages(record).items()}
    assert found["queries/written"] == {
        "asked": 4, "usable": 3, "queries": 7,
        "dropped": {"teacher: another format: no list": 1, "written twice": 2},
    }  # fmt: skip
    assert found["queries/distinct"] == {
        "queries": 5, "dropped": {"like a seed (ROUGE-L)": 1, "like another query (self-BLEU)": 1}
    }  # fmt: skip
    assert found["queries/difficulty"] == {"asked": 5, "usable": 4, "dropped": {"teacher: another format: missing": 1}}
    # three of four: two of one type and one of the other, by name 'own/knowledge' first, both its levels
    assert found["queries"]["queries"] == 3
    assert found["queries"]["own/knowledge, difficulty 1"] == found["queries"]["own/knowledge, difficulty 3"] == 1
    rows = read_rows(stage.file("instructions.jsonl"), Instruction)
    assert rows[:5] == SEEDS and len(rows) == 8
    assert {row.category for row in rows[5:]} == {"own/knowledge", "own/文本写作"}
    assert all(row.source == "own" and row.id.startswith(row.category) for row in rows[5:])


class _Names(dict[str, str]):
    """Ids of the queries that get a difficulty, as the stage makes them."""

    def __init__(self) -> None:
        from judgekit.randomness import digest

        categories = ("own/knowledge", "own/文本写作")
        super().__init__({f"{category}/new-{digest(text)}": text for text in LEVELS for category in categories})


def _stages(record: object) -> dict[str, dict[str, dict[str, int]]]:
    return {stage["name"]: stage for stage in record.manifest["stages"]}  # type: ignore[attr-defined]
