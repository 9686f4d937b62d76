"""What every ``loss`` has, and their register."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from judgekit.registry import Named, Sections
from judgekit.schema.fields import setting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Pairs:
    """What is known of preference pairs.

    :param policy_B2: log-probabilities of whole replies under the policy, summed over tokens
    :param reference_B2: likewise under the reference
    :param lengths_B2: tokens of each reply
    """

    policy_B2: Tensor
    reference_B2: Tensor
    lengths_B2: Tensor


@dataclass(frozen=True)
class LossConfig(Named):
    """What every loss has: the preference loss, and how SFT averages."""

    beta: float = setting(0.1, "β: strength of the pull to the reference model (τ in IPO)", gt=0)
    length_normalised: bool = setting(False, "log-ratios are means over tokens instead of sums (Tülu 3)")
    nll_weight: float = setting(0.0, "weight of the mean negative log-likelihood of the chosen reply", ge=0.0)
    label_smoothing: float = setting(0.0, "assumed share of flipped preferences (cDPO, robust)", ge=0.0, lt=0.5)
    sft_average: Literal["tokens", "examples"] = setting(
        "tokens", "SFT: mean over all tokens, or over examples of each one's mean, so that long ones count no more"
    )

    def settings(self, task: Literal["sft", "dpo"]) -> dict[str, Any]:
        """What of it determines the weights that a training task gives."""
        return {name: value for name, value in asdict(self).items() if (name == "sft_average") == (task == "sft")}

    def pair_loss(self, gap_B: Tensor, pairs: Pairs) -> Tensor:
        """Loss of each pair, (pairs,).

        :param gap_B: (pairs,) from ``preference_gap``, normalised as configured
        """
        raise NotImplementedError(f"loss={self.name} trains on no preferences")


LOSSES = Sections("loss", "judgekit.losses", LossConfig)


def preference_gap(policy_B2: Tensor, reference_B2: Tensor, lengths_B2: Tensor | None = None) -> Tensor:
    """The gap h of each pair, shape (pairs,).

    :param policy_B2: log-probabilities of whole replies under the policy, summed over tokens; ``reference_B2`` likewise
    :param lengths_B2: tokens of each reply, for the length-normalised gap of Lambert et al. 2024 (Tülu 3,
        arXiv 2411.15124), where each log-ratio is the mean over tokens; None for the sum
    """
    ratios_B2 = policy_B2 - reference_B2
    if lengths_B2 is not None:
        ratios_B2 = ratios_B2 / lengths_B2
    return ratios_B2[:, 0] - ratios_B2[:, 1]


def nll_term(chosen_B: Tensor, lengths_B: Tensor) -> Tensor:
    """Negative log-likelihood of each chosen reply per token (Pang et al. 2024, arXiv 2404.19733, eq. 1), (pairs,).

    :param chosen_B: log-probability of each chosen reply under the policy, summed over its tokens
    :param lengths_B: tokens of each chosen reply
    """
    return -chosen_B / lengths_B
