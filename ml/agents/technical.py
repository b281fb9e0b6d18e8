"""The technical agent's opinion: its signal, with the strength as confidence."""

from ml.agents.opinions import Action, Opinion, abstain
from trading.signals import Direction, TechnicalSignal

MODEL = "trend-momentum/1"
ACTIONS = {Direction.LONG: Action.LONG, Direction.SHORT: Action.SHORT, Direction.NEUTRAL: Action.HOLD}


def technical_opinion(signal: TechnicalSignal) -> Opinion:
    """Vote for the signal's direction; HOLD without one, the weaker the signal the higher its confidence.

    It abstains where no signal was possible.
    """
    if signal.strength == 0:  # an input was missing or impossible: that is no reason to be sure of anything
        return abstain("technical", MODEL, "; ".join(signal.reasons))
    has_direction = signal.direction is not Direction.NEUTRAL
    return Opinion(
        agent="technical",
        model=MODEL,
        action=ACTIONS[signal.direction],
        confidence=signal.strength if has_direction else 1.0 - signal.strength,
        reasoning="; ".join(signal.reasons),
        evidence={
            "direction": signal.direction.value,
            "strength": signal.strength,
            "indicators": dict(signal.indicators),
        },
    )
