"""Modified instructions: how they are asked for and read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgekit.prompts.noisy import (
    ANSWER_END,
    ANSWER_START,
    MODIFIED,
    Modified,
    answer_prompt,
    modify_prompt,
    read_modified,
)

TAGS = (MODIFIED, ANSWER_START, ANSWER_END)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
untagged = texts.map(str.strip).filter(lambda text: text != "" and not any(tag in text for tag in TAGS))
WHOLE = f"{MODIFIED}\nAnother?\n{ANSWER_START}\nYes.\n{ANSWER_END}"


@given(instruction=texts, answer=texts)
def test_texts_stand_literally_in_the_prompts(instruction: str, answer: str) -> None:
    assert answer_prompt(instruction) == ({"role": "user", "content": instruction},)
    (message,) = modify_prompt(instruction, answer)
    assert message["role"] == "user"
    head, _, rest = message["content"].partition("\n\n[User Question]\n")
    assert all(tag in head for tag in (MODIFIED, ANSWER_START, ANSWER_END))
    assert rest == f"{instruction}\n[The start of Assistant's Answer]\n{answer}\n[The end of Assistant's Answer]"


@given(before=st.sampled_from(["", "Sure.\n", f"{MODIFIED} a draft\n"]), instruction=untagged, answer=untagged)
def test_a_whole_reply_is_read(before: str, instruction: str, answer: str) -> None:
    reply = f"{before}{MODIFIED}\n{instruction}\n{ANSWER_START}\n{answer}\n{ANSWER_END}\nbye"
    assert read_modified(reply) == Modified(instruction, answer)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Another?",
        WHOLE.removeprefix(MODIFIED),
        WHOLE.replace(ANSWER_START, ""),
        WHOLE.removesuffix(ANSWER_END),
        WHOLE.replace("Another?", " "),
        WHOLE.replace("Yes.", ""),
        f"{ANSWER_START}\nYes.\n{ANSWER_END}\n{MODIFIED}\nAnother?",
    ],
)
def test_a_reply_with_a_part_missing_is_not(reply: str) -> None:
    assert read_modified(WHOLE) == Modified("Another?", "Yes.")
    assert read_modified(reply) is None
