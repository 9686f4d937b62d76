"""The config groups that judgekit's plugins bring, searched after judgekit's own."""

from __future__ import annotations

import sys

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class PluginGroups(SearchPathPlugin):
    """Adds the folder ``conf`` of every plugin (see ``judgekit.registry``)."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folders.

        :raises judgekit.errors.PluginError: a plugin cannot be imported
        """
        if "judgekit" not in sys.modules:
            return  # another program, whose configuration judgekit's plugins are no part of
        from judgekit.registry import plugins

        for name, conf in plugins().items():
            if conf is not None:
                search_path.append(f"judgekit-{name}", f"file://{conf}")
