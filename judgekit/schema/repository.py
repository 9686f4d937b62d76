"""Hydra's files of configuration, each parsed once: composing a long grid would otherwise parse all of them per job."""

from __future__ import annotations

import copy
from typing import Any

from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.config_source import ConfigResult


class ParsedOnce(CachingConfigRepository):
    """A repository that remembers its files; what it gives away may be changed.

    Hydra copies a repository for every composition, so as not to change where the original looks. Copies are shallow
    here: deep ones would hold every node of the ConfigStore.
    """

    def __init__(self, delegate: IConfigRepository) -> None:
        self.delegate = copy.copy(delegate)
        self.cache = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        """A fresh copy of a file's content."""
        return copy.deepcopy(super().load_config(config_path))

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Look elsewhere from now on."""
        self.cache = {}
        super().initialize_sources(config_search_path)

    def __deepcopy__(self, memo: dict[int, Any]) -> ParsedOnce:
        twin = ParsedOnce(self.delegate)
        twin.cache = self.cache
        return twin
