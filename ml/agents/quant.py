"""The quant agent's opinion: the exposure that the champion policy wants now."""

from collections.abc import Mapping

from ml.agents.opinions import Action, Opinion, abstain
from ml.learning.policy import Policy
from trading.portfolio import Position


def quant_opinion(
    policy: Policy | None, features: Mapping[str, float | None], position: Position | None
) -> Opinion:
    """Vote for the exposure that the champion policy wants: LONG, or CLOSE what is open, long or short, or HOLD.

    A policy knows flat and long alone: while a short is open it is asked as if flat. It abstains while no policy
    has passed the promotion gate, the newest policy is not a substitute; and while a feature that the policy reads
    is not known, as when another pair's candles are late.
    """
    if policy is None:
        return abstain(
            "quant", "none", "no champion: no policy of this pair has passed the promotion gate yet"
        )
    if unknown := [name for name in policy.feature_names if features.get(name, 0.0) is None]:
        return abstain("quant", policy.policy_id, f"not known now: {', '.join(unknown)}")
    exposure = 1.0 if position is not None and position.quantity > 0 else 0.0
    known = {name: value for name, value in features.items() if value is not None}
    wanted = policy.act(known, exposure)
    flat = Action.HOLD if position is None else Action.CLOSE
    action = Action.LONG if wanted.exposure > 0 else flat
    return Opinion(
        agent="quant",
        model=policy.policy_id,
        action=action,
        confidence=wanted.probability,
        reasoning=f"the champion wants {wanted.exposure:.0%} exposure (probability {wanted.probability:.2f})",
        evidence={"exposure": wanted.exposure, "held": exposure},
    )
