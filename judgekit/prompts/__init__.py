"""How judges are asked and how their replies are read."""

from judgekit.errors import ConfigError, Problem
from judgekit.prompts.additive import Additive
from judgekit.prompts.autoj import AutoJ
from judgekit.prompts.base import PairProtocol, PointProtocol
from judgekit.prompts.critiquellm import CritiquePair, CritiquePoint
from judgekit.prompts.evalplanner import EvalPlanner
from judgekit.prompts.judgelm import JudgeLM, JudgeLMSingle
from judgekit.prompts.pairwise import Pairwise
from judgekit.prompts.pandalm import PandaLM
from judgekit.prompts.rating import Rating
from judgekit.prompts.self_taught import SelfTaught
from judgekit.schema.prompts import (
    AdditivePrompt,
    AutoJPrompt,
    CritiquePairPrompt,
    CritiquePointPrompt,
    EvalPlannerPrompt,
    JudgeLMPrompt,
    JudgeLMSinglePrompt,
    PairwisePrompt,
    PandaLMPrompt,
    PromptConfig,
    RatingPrompt,
    SelfTaughtPrompt,
)

PROTOCOLS: dict[type[PromptConfig], type[PairProtocol] | type[PointProtocol]] = {
    AutoJPrompt: AutoJ,
    CritiquePairPrompt: CritiquePair,
    CritiquePointPrompt: CritiquePoint,
    AdditivePrompt: Additive,
    EvalPlannerPrompt: EvalPlanner,
    JudgeLMPrompt: JudgeLM,
    JudgeLMSinglePrompt: JudgeLMSingle,
    PairwisePrompt: Pairwise,
    PandaLMPrompt: PandaLM,
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
