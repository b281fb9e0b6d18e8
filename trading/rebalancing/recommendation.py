"""The next rebalancing trade, or why there is none.

Value moves from an asset above its target to one below it, min(surplus, shortfall) at most, so that neither
passes its target. Of all such moves the largest that the venue can carry out is taken. Moving v and losing c
of it on the way lowers the sum of abs(share - target) by at least 2 (v - c) / equity. Only when the allocation
calls for no trade is a round through three pairs recommended; it ends in the asset it starts from.

Priority: HIGH when one asset is too much of the whole or a drift is twice its limit; MEDIUM for other drifts
and for gains; LOW for a regime change and for rounds, whose prices must still hold when they are traded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from enum import StrEnum

from trading.rebalancing.conversion import DOWNWARDS, Conversion, PlannedTrade, Refusal, best_conversion
from trading.rebalancing.opportunity import Opportunity, best_opportunity, disagreement
from trading.rebalancing.portfolio import Holding, Situation, holdings
from trading.rebalancing.rules import RebalancingRules
from trading.rebalancing.triggers import Trigger, TriggerKind, allocation_triggers, percent


class Priority(StrEnum):
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


@dataclass(frozen=True, slots=True)
class RebalanceRecommendation:
    source_asset: str
    target_asset: str  # the source again for a round through three pairs
    amount: Decimal  # of the source asset, exactly what the first trade spends
    expected: Decimal  # of the target asset, after fees and concession
    priority: Priority
    reasoning: str
    triggers: tuple[Trigger, ...]
    trades: tuple[PlannedTrade, ...]  # in their sequence, each spending what the one before brings


@dataclass(frozen=True, slots=True)
class NoRebalance:
    reason: str
    triggers: tuple[Trigger, ...]  # that fired although nothing can be done


def recommend(situation: Situation, rules: RebalancingRules) -> RebalanceRecommendation | NoRebalance:
    """The next trade, or why there is none; carried out, it brings the allocation nearer to its target.

    Raises NotStored for a price that is missing, InvalidValue for an asset without a target.
    """
    parts = holdings(situation, rules.targets)
    if not parts:
        return NoRebalance("the portfolio is empty", ())
    if wrong := disagreement(situation.market, rules.disagreement):
        return NoRebalance(wrong, ())
    fired = allocation_triggers(parts, situation, rules)
    found = _largest_move(parts, situation, rules) if fired else Refusal(_calm(parts, situation))
    if not isinstance(found, Refusal):
        return _rebalance(*found, fired, rules)
    opportunity = best_opportunity(parts, situation.market, rules)
    if opportunity is not None:
        return _round(opportunity, fired, rules)
    return NoRebalance(_joined(fired, found), fired)


@dataclass(frozen=True, slots=True)
class _Move:
    source: Holding
    target: Holding
    value: Decimal  # at most; in the counting asset

    @property
    def amount(self) -> Decimal:
        return min(self.value / self.source.price, self.source.free)


def _largest_move(
    parts: Sequence[Holding], situation: Situation, rules: RebalancingRules
) -> tuple[_Move, Conversion] | Refusal:
    reasons = []
    with localcontext(DOWNWARDS):
        for move in _moves(parts):
            answer = _carried_out(move, situation, rules)
            if isinstance(answer, Conversion):
                return move, answer
            reasons.append(answer.reason)
    return Refusal("; ".join(dict.fromkeys(reasons)) or "every asset is at its target")


def _moves(parts: Sequence[Holding]) -> list[_Move]:
    moves = [
        _Move(source, target, min(source.surplus, -target.surplus, source.free * source.price))
        for source in parts
        for target in parts
        if source.surplus > 0 > target.surplus
    ]
    return sorted(moves, key=lambda move: -move.value)


def _carried_out(move: _Move, situation: Situation, rules: RebalancingRules) -> Conversion | Refusal:
    source, target = move.source.asset, move.target.asset
    if move.value < rules.minimum_value or not move.value:
        worth = f"{move.value:.2f} {situation.quote} from {source} to {target}"
        return Refusal(f"{worth} is less than the minimum of {rules.minimum_value:f}")
    return best_conversion(source, target, move.amount, situation.market)


def _rebalance(
    move: _Move, conversion: Conversion, fired: tuple[Trigger, ...], rules: RebalancingRules
) -> RebalanceRecommendation:
    notes = "; ".join(trigger.note for trigger in fired)
    return RebalanceRecommendation(
        source_asset=move.source.asset,
        target_asset=move.target.asset,
        amount=conversion.spends,
        expected=conversion.receives,
        priority=_priority(fired, rules),
        reasoning=f"{notes}. {_place(move.source)}, {_place(move.target)}: {_orders(conversion)}.",
        triggers=fired,
        trades=conversion.trades,
    )


def _round(
    found: Opportunity, fired: tuple[Trigger, ...], rules: RebalancingRules
) -> RebalanceRecommendation:
    note = f"{found.path} gains {100 * found.gain:.3f} % after costs"
    trigger = Trigger(TriggerKind.OPPORTUNITY, found.path, float(found.gain), float(rules.opportunity), note)
    return RebalanceRecommendation(
        source_asset=found.start.asset,
        target_asset=found.start.asset,
        amount=found.conversion.spends,
        expected=found.conversion.receives,
        priority=Priority.LOW,
        reasoning=f"{note} at these prices, which must still hold: {_orders(found.conversion)}.",
        triggers=(*fired, trigger),
        trades=found.conversion.trades,
    )


def _priority(fired: Sequence[Trigger], rules: RebalancingRules) -> Priority:
    kinds = {trigger.kind for trigger in fired}
    drifts = [abs(trigger.value) for trigger in fired if trigger.kind is TriggerKind.DRIFT]
    if TriggerKind.CONCENTRATION in kinds or any(drift >= 2 * float(rules.drift) for drift in drifts):
        return Priority.HIGH
    return Priority.MEDIUM if kinds & {TriggerKind.DRIFT, TriggerKind.GAIN} else Priority.LOW


def _calm(parts: Sequence[Holding], situation: Situation) -> str:
    furthest = max(parts, key=lambda part: abs(part.drift))
    gains = "" if situation.reference_prices else "; gains are unknown, there are no prices to compare with"
    return f"nothing calls for it: {_place(furthest)} and no asset is further from its target{gains}"


def _joined(fired: Sequence[Trigger], refusal: Refusal) -> str:
    notes = "; ".join(trigger.note for trigger in fired)
    return f"{notes}, but {refusal.reason}" if notes else refusal.reason


def _place(part: Holding) -> str:
    return f"{part.asset} is {percent(part.share)} against a target of {percent(part.target)}"


def _orders(conversion: Conversion) -> str:
    return ", then ".join(map(str, conversion.trades))
