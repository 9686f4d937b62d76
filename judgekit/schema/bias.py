"""``bias``: the dataclass of all bias controls there are, each defined in a file of ``judgekit.bias``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from judgekit.bias.base import BiasConfig as BiasConfig
else:
    from judgekit.bias.base import bias_config

    BiasConfig = bias_config()
