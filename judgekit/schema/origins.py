"""Which file or command-line override a value came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import OmegaConf

_ABSENT: Any = object()


class Origins:
    """Tells it for one composed configuration; files are searched only when somebody asks."""

    def __init__(self, loader: ConfigLoaderImpl, name: str, overrides: Sequence[str]) -> None:
        """Look at a composition.

        :param name: the primary file, without its ending
        """
        self._loader, self._name, self._overrides = loader, name, overrides

    def __call__(self, key: str) -> str | None:
        """What a mistake at a key should be blamed on, the choice of its group included."""
        key = key.split("[")[0]
        return self._override(key, self._overrides) or self.file(key)

    def value(self, key: str) -> str | None:
        """What set a value that is no section; None: nothing did, it is the default."""
        groups = set(self._loader.list_groups(""))
        plain = [text for text in self._overrides if text.partition("=")[0].lstrip("+~").split("@")[0] not in groups]
        return self._override(key, plain) or self.file(key, mappings=True)

    def _override(self, key: str, overrides: Sequence[str]) -> str | None:
        for text in reversed(overrides):
            name = text.partition("=")[0].lstrip("+~")
            added = text.startswith("+") and name.startswith(f"{key}.")
            if added or f"{key}.".startswith(f"{name}."):
                return f"override {text}"
        return None

    def file(self, key: str, mappings: bool = False) -> str | None:
        """The file that wrote a value last.

        :param mappings: a mapping is a value too, not a section that many files write to
        """
        found = ((file, _at(content, key)) for file, content in self._files)
        return next(
            (file for file, at in found if at is not _ABSENT and (mappings or not isinstance(at, Mapping))), None
        )

    @cached_property
    def _files(self) -> list[tuple[str, dict[str, Any]]]:
        """Every file with what it says about the whole configuration, the one that wins first."""
        found = []
        defaults = self._loader.compute_defaults_list(self._name, list(self._overrides), RunMode.RUN).defaults
        for default in reversed(defaults):
            loaded = self._loader.repository.load_config(default.config_path) if default.config_path else None
            if loaded is None or loaded.provider in ("hydra", "schema"):
                continue
            file = Path(loaded.path.removeprefix("file://")) / f"{default.config_path}.yaml"
            shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
            content: Any = OmegaConf.to_container(loaded.config)
            for part in reversed(default.package.split(".") if default.package else []):
                content = {part: content}
            found.append((str(shown), content))
        return found


def _at(node: Any, key: str) -> Any:
    """The value at a key, ``_ABSENT`` where there is none."""
    for part in key.split("."):
        node = node[part] if isinstance(node, Mapping) and part in node else _ABSENT
    return node
