"""``bias``: bias controls."""

from __future__ import annotations

from dataclasses import dataclass

from judgekit.schema.fields import setting


@dataclass(frozen=True)
class BiasConfig:
    """``bias``: bias controls."""

    both_orders: bool = setting(True, "position: judge and train on both response orders")
    drop_conflicting: bool = setting(False, "position: train only on instructions with a correct chain in both orders")
    balance_labels: bool = setting(False, "position: equal numbers of A and B verdicts among judgments to imitate")
    max_response_chars: int | None = setting(None, "length: drop pairs with a response over this many characters", ge=1)
    max_judgment_chars: int | None = setting(None, "length: drop chosen judgments over this many characters", ge=1)
    rho: float | None = setting(
        None,
        "length: strength ρ of Meta-Rewarding's length control, in every iteration; null: as recipe.schedule says",
        ge=0.0,
        le=1.0,
    )
