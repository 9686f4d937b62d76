"""How judges are asked and how their replies are read."""

from judgekit.errors import ConfigError, Problem
from judgekit.prompts.additive import Additive
from judgekit.prompts.base import PairProtocol, PointProtocol
from judgekit.prompts.evalplanner import EvalPlanner
from judgekit.prompts.pairwise import Pairwise
from judgekit.prompts.rating import Rating
from judgekit.prompts.self_taught import SelfTaught
from judgekit.schema.prompts import (
    AdditivePrompt,
    EvalPlannerPrompt,
    PairwisePrompt,
    PromptConfig,
    RatingPrompt,
    SelfTaughtPrompt,
)

PROTOCOLS: dict[type[PromptConfig], type[PairProtocol] | type[PointProtocol]] = {
    AdditivePrompt: Additive,
    EvalPlannerPrompt: EvalPlanner,
    PairwisePrompt: Pairwise,
    RatingPrompt: Rating,
    SelfTaughtPrompt: SelfTaught,
}
"""The protocol of each ``prompt`` dataclass, which is what it is made of."""


def protocol_of(config: PromptConfig) -> PairProtocol | PointProtocol:
    """The protocol a configuration names."""
    return PROTOCOLS[type(config)](config)  # type: ignore[call-arg]


def pair_protocol(config: PromptConfig) -> PairProtocol:
    """The protocol a configuration names, for callers that compare two responses.

    :raises ConfigError: when it scores single responses
    """
    protocol = protocol_of(config)
    if isinstance(protocol, PairProtocol):
        return protocol
    message = f"the protocol '{config.name}' scores single responses, and two are to be compared"
    raise ConfigError([Problem("prompt.name", message, "Use prompt=pairwise")])
