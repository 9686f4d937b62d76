"""How judges are asked and how their replies are read."""

from judgekit.prompts.base import PairProtocol
from judgekit.prompts.evalplanner import EvalPlanner
from judgekit.prompts.self_taught import SelfTaught
from judgekit.schema.prompts import EvalPlannerPrompt, PromptConfig, SelfTaughtPrompt

PROTOCOLS: dict[type[PromptConfig], type[PairProtocol]] = {
    EvalPlannerPrompt: EvalPlanner,
    SelfTaughtPrompt: SelfTaught,
}
"""The protocol of each ``prompt`` dataclass, which is what it is made of."""


def protocol_of(config: PromptConfig) -> PairProtocol:
    """The protocol a configuration names."""
    return PROTOCOLS[type(config)](config)  # type: ignore[call-arg]
