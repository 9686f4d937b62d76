"""Tokenizers of model folders, loaded in one place and used only where real text comes back from them."""

from __future__ import annotations

import copy
import json
import logging
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judgekit.errors import ModelError
from judgekit.prompts.templates import set_arguments

log = logging.getLogger(__name__)

SAMPLES = (
    "hello world",
    "  two  spaces, a tab\tand\n\na blank line",
    "def f(x):\n    return {'a': [x**2, -1]}  # ok",
    "naïve café, Straße, smörgåsbord",
    "Привет, как дела?",
    "γειά σου κόσμε",
    "你好，世界。",
    "こんにちは、世界",
    "안녕하세요 세계",
    "שלום עולם",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "Xin chào thế giới",
    "½ × 3 ≤ π → 🙂",
)
"""Short texts in a dozen scripts, with the white space that code lives by."""

_LOADED: dict[tuple[Path, str], Any] = {}


def load_tokenizer(
    folder: Path, trust_remote_code: bool = False, template: Mapping[str, bool | int | float | str] | None = None
) -> Any:
    """The tokenizer of a model folder, loaded once.

    The class that ``tokenizer_config.json`` names may split text otherwise than ``tokenizer.json`` says (a Llama class
    over byte-level pieces loses every space). Then ``tokenizer.json`` is used as it is, and that is said.

    :param trust_remote_code: run code that lies in the folder
    :param template: further arguments of its chat template
    :raises ModelError: neither gives text back, or the template does not read an argument
    """
    name = json.dumps(dict(template or {}), sort_keys=True)
    if (folder, name) not in _LOADED:
        if template:
            told = copy.copy(load_tokenizer(folder, trust_remote_code))  # shares all but the arguments
            set_arguments(told, template)
            return _LOADED.setdefault((folder, name), told)
        from transformers import AutoTokenizer, PreTrainedTokenizerFast

        found: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
        if (example := mangled(found)) is not None:
            backend = PreTrainedTokenizerFast.from_pretrained(folder) if (folder / "tokenizer.json").is_file() else None
            if backend is None or mangled(backend) is not None:
                raise ModelError(
                    f"{folder}: the tokenizer does not give text back: {example}. Take another copy of it."
                )
            log.warning(
                "%s: the class %s that tokenizer_config.json names turns %s; tokenizer.json is used as it is.",
                folder, type(found).__name__, example,
            )  # fmt: skip
            found = backend
        _LOADED[folder, name] = found
    return _LOADED[folder, name]


def check_own_load(folder: Path, trust_remote_code: bool = False) -> None:
    """Refuse a folder whose tokenizer another program, which loads it by the class that is named, would get wrong.

    :raises ModelError: with the remedy
    """
    from transformers import AutoTokenizer

    example = mangled(AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code))
    if example is not None:
        raise ModelError(
            f"{folder}: the tokenizer class that tokenizer_config.json names turns {example}, and vLLM would use it. "
            'Write "tokenizer_class": "PreTrainedTokenizerFast" there, in a copy of the folder.'
        )


def mangled(tokenizer: Any) -> str | None:
    """A text that does not come back, as ``'TEXT' into 'OTHER'``; None: all do.

    Case, the form of characters, and a space at the very beginning may change; scripts that the vocabulary does not
    know at all are passed over.
    """
    for sample in SAMPLES:
        ids = tokenizer.encode(sample, add_special_tokens=False)
        if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids:
            continue
        back = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if _folded(back) != _folded(sample):
            return f"{sample!r} into {back!r}"
    return None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().lstrip(" ")
