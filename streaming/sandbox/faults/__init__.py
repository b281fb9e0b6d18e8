"""Everything that goes wrong in real life, on request: the kinds of faults, their schedule, and their effects."""

from streaming.sandbox.faults.kinds import Fault, FaultKind, from_json
from streaming.sandbox.faults.schedule import Faults

__all__ = ["Fault", "FaultKind", "Faults", "from_json"]
