"""Sentences of releases: read from files of the releases' shape, and asked in. The sentences here are invented."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from judgekit.cli import main
from judgekit.errors import ConfigError, DataError
from judgekit.judges import find_judge, open_judge, prompt_of
from judgekit.named_judge import judge_config
from judgekit.prompts import wording
from judgekit.prompts.autoj import AutoJPrompt
from judgekit.prompts.base import PromptConfig
from judgekit.prompts.judgelm import JudgeLM, JudgeLMPrompt, JudgeLMSingle, JudgeLMSinglePrompt
from judgekit.prompts.pandalm import PandaLMPrompt
from judgekit.prompts.wording import RELEASES, digest_of, import_wording, wording_file
from judgekit.rows import Response, ResponsePair
from judgekit.samplers.hf import HfConfig
from judgekit.schema.composition import Composer
from judgekit.schema.evaluation import EvalConfig
from judgekit.schema.judges import JudgeConfig
from judgekit.schema.overrides import judge_overrides
from judgekit.stages.stage import Stage, key_of

FILES = {
    "judgelm": """
import torch_that_is_not_there

conv_judge_pair = Conversation(
    system='You weigh answers.',
    prompt="Look at two AI assistants.\\nGive two values for Assistant 1 and 2, respectively. The two scores part.",
    prompt_template="[Question]\\n{question}\\n\\n[System]\\n{prompt}\\n\\n",
    offset=2,
    appendix="### Response:"
)
conv_judge_pair_w_reference = Conversation(system='other', prompt="other")
""",
    "pandalm": """
class Provider(object):
    def build(self, instruction, input, resp1, resp2):
        rsp = f"### Response 1:\\n{resp1}\\n\\n### Response 2:\\n{resp2}"
        if input:
            text = f"A task, with its input.\\n\\n### Instruction:\\n{instruction}\\n\\n### Input:\\n{input}\\n\\n{rsp}"
        else:
            text = f"A task. Judge.\\n\\n### Instruction:\\n{instruction}\\n\\n{rsp}\\n\\n### Evaluation:\\n"
        return text
""",
    "autoj": '''
PROMPT_INPUT_WO_SYSTEM: str = "[INST] {input} [/INST]"
single = """Grade it: \\
[Query]: {prompt}
[Response]: {response}"""
pairwise_tie = """Compare:

[Query]: {prompt}
[Response 1]: {response}
[Response 2]: {response_another}"""
''',
}  # fmt: skip
TEXTS = {
    "judgelm": {
        "opening": "You weigh answers.",
        "request": "Look at {number} AI assistants.\nGive {number} values for {assistants}, respectively. "
        "The {number} scores part.",
    },
    "pandalm": {"task": "A task. Judge.", "task_input": "A task, with its input."},
    "autoj": {
        "pair": "Compare:\n\n[Query]: {prompt}\n[Response 1]: {response}\n[Response 2]: {response_another}",
        "single": "Grade it: [Query]: {prompt}\n[Response]: {response}",
    },
}
NAMES = sorted(FILES)


@pytest.fixture
def clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clones of the releases, whose invented sentences are the known ones; nothing is imported yet."""
    monkeypatch.setenv("JUDGEKIT_CONFIG", str(tmp_path / "config"))
    known = {name: replace(RELEASES[name], sha256=digest_of(TEXTS[name])) for name in NAMES}
    monkeypatch.setattr(wording, "RELEASES", known)
    for name in NAMES:
        file = tmp_path / name / RELEASES[name].file
        file.parent.mkdir(parents=True)
        file.write_text(FILES[name])
    return tmp_path


def text_of(prompt: PromptConfig, pair: ResponsePair) -> str:
    (message,) = prompt.protocol.judge_prompt(pair, "ab")  # type: ignore[union-attr]
    return message["content"]


PAIR = ResponsePair("1", "Why {so}?", "first", "second", "A")
WITH_INPUT = ResponsePair("1", "Why?\nbecause {x}", "first", "second", "A", input="because {x}")


@pytest.mark.parametrize("name", NAMES)
def test_the_command_reads_the_releases_file(
    name: str, clones: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["wording", "import", name, "--from", str(clones / name)]) == 0
    kept = clones / "config" / "wording" / f"{name}.json"
    assert capsys.readouterr().out == f"{kept}\n"
    assert json.loads(kept.read_text("utf-8")) == TEXTS[name]
    kept.unlink()
    assert import_wording(name, clones / name / RELEASES[name].file) == kept  # the file alone


def test_the_texts_have_one_digest() -> None:
    # sha256sum of: {"a": "b", "c": "\u00e9"}
    assert digest_of({"c": "é", "a": "b"}) == "7036205eec6d9ceb322d4d81cfba20d57936c9f21bbcaa2fe3648480d72bb349"


def test_judgelm_is_asked_in_the_words_of_its_release(clones: Path) -> None:
    import_wording("judgelm", clones / "judgelm")
    prompt = JudgeLMPrompt(plain=True, wording="release")
    assert text_of(prompt, PAIR) == (
        "You weigh answers.\n[Question]\nWhy {so}?\n\n"
        "[The Start of Assistant 1's Answer]\nfirst\n\n[The End of Assistant 1's Answer]\n\n"
        "[The Start of Assistant 2's Answer]\nsecond\n\n[The End of Assistant 2's Answer]\n\n"
        "[System]\nLook at two AI assistants.\nGive two values for Assistant 1 and 2, respectively. "
        "The two scores part.\n\n### Response:"
    )
    many = JudgeLM(prompt).many_prompt("q", ["a", "b", "c", "d"])[0]["content"]
    assert many.endswith(
        "Look at four AI assistants.\nGive four values for Assistant 1, 2, 3 and 4, respectively. "
        "The four scores part.\n\n### Response:"
    )
    single = JudgeLMSingle(JudgeLMSinglePrompt(plain=True, wording="release"))
    assert single.score_prompt(Response("1", "q", "a", "r"))[0]["content"].startswith(
        "You weigh answers.\n[Question]\n"
    )


def test_pandalm_is_asked_in_the_words_of_its_release(clones: Path) -> None:
    import_wording("pandalm", clones / "pandalm")
    prompt = PandaLMPrompt(chat=False, wording="release")
    assert text_of(prompt, PAIR).startswith(
        "A task. Judge.\n\n### Instruction:\nWhy {so}?\n\n### Response 1:\nfirst\n\n"
    )
    assert text_of(prompt, WITH_INPUT).startswith(
        "A task, with its input.\n\n### Instruction:\nWhy?\n\n### Input:\nbecause {x}\n\n### Response 1:\nfirst\n\n"
    )
    assert text_of(replace(prompt, task="Mine."), PAIR).startswith("Mine.\n\n### Instruction:")


def test_autoj_is_asked_in_the_words_of_its_release(clones: Path) -> None:
    import_wording("autoj", clones / "autoj")
    assert text_of(AutoJPrompt(wording="release"), PAIR) == (
        "[INST] Compare:\n\n[Query]: Why {so}?\n[Response 1]: first\n[Response 2]: second [/INST]"
    )


@pytest.mark.parametrize(
    ("prompt", "command"),
    [
        (JudgeLMPrompt(plain=True), "judgelm --from CLONE` with a clone of github.com/baaivision/JudgeLM"),
        (JudgeLMSinglePrompt(), "judgelm --from CLONE` with a clone of github.com/baaivision/JudgeLM"),
        (PandaLMPrompt(chat=False), "pandalm --from CLONE` with a clone of github.com/WeOpenML/PandaLM"),
        (AutoJPrompt(), "autoj --from CLONE` with a clone of github.com/GAIR-NLP/auto-j"),
    ],
)
def test_released_weights_without_their_sentences_are_refused(
    prompt: PromptConfig, command: str, clones: Path, tmp_path: Path
) -> None:
    release = prompt.release  # type: ignore[attr-defined]
    hub_id = RELEASES[release].weights[0]
    judges = [
        JudgeConfig(hub=f"{hub_id}@{'a' * 40}"),
        judge_config(f"{release}_{'13b' if release == 'autoj' else '7b'}"),
    ]
    for judge in judges:
        refused = pytest.raises(
            ConfigError, match=r"(?s)prompt\.wording: the sentences these weights were trained with"
        )
        with refused as caught, open_judge(judge, HfConfig(), prompt, tmp_path):
            raise AssertionError("they would answer a prompt they do not know")
        assert f"Run `judgekit wording import {command}" in str(caught.value)
        found, own = find_judge(judge, HfConfig()), replace(prompt, wording="own")  # type: ignore[call-arg]
        assert prompt_of(found, own) == own and own.problems() == []
    import_wording(release, clones / release)
    assert all(
        asked.problems() == [] for judge in judges if (asked := prompt_of(find_judge(judge, HfConfig()), prompt))
    )
    other = find_judge(JudgeConfig(hub=f"org/name@{'a' * 40}"), HfConfig())
    assert prompt_of(other, prompt) == prompt  # other weights are asked in our words


def test_sentences_that_were_edited_are_refused(clones: Path) -> None:
    kept = import_wording("pandalm", clones / "pandalm")
    kept.write_text(kept.read_text("utf-8").replace("Judge", "judge"), "utf-8")
    (problem,) = PandaLMPrompt(wording="release").problems()
    assert problem.key == "wording" and str(kept) in problem.message
    whole = PandaLMPrompt(wording="release", task="Mine.", task_input="Mine, with input.")
    assert whole.problems() == []  # none of the release's is wanted


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (lambda file: file.unlink(), "is not there; give a clone of github.com/baaivision/JudgeLM, or its file"),
        (lambda file: file.write_text("def"), "is not Python"),
        (lambda file: file.write_text("x = 1"), "take the file as released"),
        (lambda file: file.write_text(FILES["judgelm"].replace("weigh", "way")), "its sentences have SHA-256"),
    ],
)
def test_another_file_is_not_read(spoilt: object, said: str, clones: Path) -> None:
    spoilt(clones / "judgelm" / RELEASES["judgelm"].file)  # type: ignore[operator]
    with pytest.raises(DataError, match=said):
        import_wording("judgelm", clones / "judgelm")
    assert not wording_file("judgelm").exists()
    with pytest.raises(ConfigError, match="judgln: no release of this name.*Did you mean 'judgelm'"):
        import_wording("judgln", clones)


def test_eval_takes_ours_where_it_is_told_so(clones: Path) -> None:
    composer = Composer(name="eval", kind=EvalConfig)

    def asked(*overrides: str) -> PromptConfig | None:
        given = ["judge=judgelm_7b", "benchmark=llmbar", f"benchmark.llmbar.path={clones}", *overrides]
        config = composer.job(judge_overrides(given, composer.loader)).config
        assert isinstance(config, EvalConfig)
        return config.prompt or config.judge.prompt

    for overrides, place in (((), "judge.prompt.wording"), (("prompt=judgelm_single",), "prompt.wording")):
        with pytest.raises(ConfigError) as caught:
            asked(*overrides)
        (problem,) = caught.value.problems
        assert problem.key == place and problem.message.startswith("the sentences these weights were trained with")
    assert (
        asked("prompt.wording=own")
        == asked("judge.prompt.wording=own")
        == JudgeLMPrompt(plain=True, parser="release", wording="own")
    )
    assert asked("prompt=judgelm_single", "prompt.wording=own") == JudgeLMSinglePrompt(wording="own")
    import_wording("judgelm", clones / "judgelm")
    assert asked() == JudgeLMPrompt(plain=True, parser="release")


def test_a_key_says_which_words_and_is_the_old_one_for_ours() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Asked(Stage):
        label = "asked"
        prompt: PromptConfig

    assert "wording" not in key_of(Asked(prompt=PandaLMPrompt())).config["prompt"]
    assert key_of(Asked(prompt=PandaLMPrompt(wording="release"))).config["prompt"]["wording"] == "release"


def test_a_released_teacher_without_its_sentences_is_refused(clones: Path) -> None:
    weights = ["model@teacher.model=llama_7b", "teacher.model.hub_id=WeOpenML/PandaLM-7B-v1"]
    given = ["recipe=pandalm", *weights, "prompt@teacher.prompt=pandalm_plain", "model.path=" + str(clones)]
    with pytest.raises(ConfigError) as caught:
        Composer().job(given)
    assert "teacher.prompt.wording" in [problem.key for problem in caught.value.problems]
