"""The opinion of one agent on what to do with a pair, and why."""

import json
from dataclasses import dataclass
from enum import StrEnum
from numbers import Real
from typing import Any


class Action(StrEnum):
    LONG = "LONG"
    SHORT = "SHORT"
    HOLD = "HOLD"
    CLOSE = "CLOSE"


@dataclass(frozen=True, slots=True)
class Opinion:
    """A vote with its confidence. `action` None abstains: the agent has nothing to judge by, which is not HOLD.

    Making one never raises. What could not stand in a receipt (an action that is none, a confidence outside
    0 .. 1, evidence that is not JSON) makes it an abstention whose reasoning says so: it must not become a vote.
    """

    agent: str
    model: str
    action: Action | None
    confidence: float  # 0 .. 1, 0 for an abstention
    reasoning: str
    evidence: dict[str, Any]

    def __post_init__(self) -> None:
        fault = _fault(self.action, self.confidence, self.evidence)
        texts = {name: _text(getattr(self, name)) for name in ("agent", "model", "reasoning")}
        sound: dict[str, object] = {"confidence": 0.0 if fault else float(self.confidence)}
        if fault:
            sound |= {"action": None, "evidence": {}}
            texts["reasoning"] = f"abstains: its answer cannot be used: {fault}"
        for name, value in (texts | sound).items():
            object.__setattr__(self, name, value)


def _fault(action: object, confidence: object, evidence: object) -> str:
    """Name what keeps an answer from being a vote; empty for a sound one."""
    if not (action is None or isinstance(action, Action)):
        return f"its action is {_text(action)}; allowed are {', '.join(Action)} and none"
    if not _is_share(confidence):
        return f"its confidence is {_text(confidence)}; a number from 0 to 1 is needed"
    if action is None and confidence != 0:
        return f"an abstention has confidence 0, not {_text(confidence)}"
    if not isinstance(evidence, dict):
        return "its evidence is no table of names and values"
    try:
        json.dumps(evidence, allow_nan=False).encode()
    except Exception as error:  # whatever an agent has put into it
        return f"its evidence is not JSON: {_text(error)}"
    return ""


def _is_share(value: object) -> bool:
    try:
        return type(value) is not bool and isinstance(value, Real) and 0 <= float(value) <= 1
    except Exception:  # a number beyond every float
        return False


def _text(value: object) -> str:
    """Return the value in words that UTF-8 can hold, whatever it is."""
    try:
        return str(value).encode(errors="replace").decode()
    except Exception:
        return f"a {type(value).__name__}"


def abstain(agent: str, model: str, why: str) -> Opinion:
    """Return an opinion without an action."""
    return Opinion(agent, model, action=None, confidence=0.0, reasoning=why, evidence={})
