"""The quant agent's vote: what the champion policy would hold now."""

from collections.abc import Mapping

from ml.agents.opinions import Action, Opinion, abstain
from ml.policy import Policy
from trading.portfolio import Position


def quant_opinion(policy: Policy | None, features: Mapping[str, float], position: Position | None) -> Opinion:
    """Abstains while no policy has passed the promotion gate: the newest policy is not a substitute."""
    if policy is None:
        return abstain(
            "quant", "none", "no champion: no policy of this pair has passed the promotion gate yet"
        )
    held = 1.0 if position is not None and position.quantity > 0 else 0.0
    wanted = policy.act(features, held)
    action = Action.LONG if wanted.exposure > 0 else Action.CLOSE if held else Action.HOLD
    return Opinion(
        agent="quant",
        model=policy.policy_id,
        action=action,
        confidence=wanted.probability,
        reasoning=f"the champion wants {wanted.exposure:.0%} exposure (probability {wanted.probability:.2f})",
        evidence={"exposure": wanted.exposure, "held": held},
    )
