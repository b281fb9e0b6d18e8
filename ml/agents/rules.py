"""The rules that turn a market into a decision: the same for a live decision and for a back-test of it."""

from dataclasses import dataclass

from ml.agents.analyst import AnalystRules
from ml.agents.votes import ConsensusRules
from trading.risk import Limits
from trading.signals import SignalRules


@dataclass(frozen=True, slots=True)
class DecisionRules:
    signals: SignalRules
    analyst: AnalystRules
    consensus: ConsensusRules
    limits: Limits
