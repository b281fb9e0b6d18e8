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

from trading.rebalancing.conversion import (
    ROUND_DOWN_CONTEXT,
    Conversion,
    NoConversion,
    PlannedTrade,
    best_conversion,
)
from trading.rebalancing.opportunity import Opportunity, best_opportunity, price_disagreement
from trading.rebalancing.portfolio import AssetAllocation, Situation, allocations
from trading.rebalancing.rules import RebalancingRules
from trading.rebalancing.triggers import Trigger, TriggerKind, allocation_triggers, percent


class Priority(StrEnum):
    """How urgent a trade is; the module says which is which."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


@dataclass(frozen=True, slots=True)
class RebalanceRecommendation:
    """The next trade, or trades that follow on each other."""

    source_asset: str
    target_asset: str  # the source again for a round through three pairs
    amount: Decimal  # of the source asset, exactly what the first trade spends
    expected: Decimal  # of the target asset, after fees and the price buffer
    priority: Priority
    reasoning: str
    triggers: tuple[Trigger, ...]
    trades: tuple[PlannedTrade, ...]  # in their sequence, each spending what the one before brings


@dataclass(frozen=True, slots=True)
class NoRebalance:
    """Why there is no trade."""

    reason: str
    triggers: tuple[Trigger, ...]  # that fired although nothing can be done


def recommend(situation: Situation, rules: RebalancingRules) -> RebalanceRecommendation | NoRebalance:
    """Return the next trade, or why there is none; carried out, it brings the allocation nearer to its target.

    Raises NotStored for a price that is missing, InvalidValue for an asset without a target.
    """
    assets = allocations(situation, rules.targets)
    if not assets:
        return NoRebalance("the portfolio is empty", ())
    if wrong := price_disagreement(situation.market, rules.disagreement):
        return NoRebalance(wrong, ())
    fired = allocation_triggers(assets, situation, rules)
    best = (
        _largest_move(assets, situation, rules)
        if fired
        else NoConversion(_no_trigger_reason(assets, situation))
    )
    if not isinstance(best, NoConversion):
        return _recommend_move(*best, fired, rules)
    opportunity = best_opportunity(assets, situation.market, rules)
    if opportunity is not None:
        return _recommend_round(opportunity, fired, rules)
    return NoRebalance(_join_reasons(fired, best), fired)


@dataclass(frozen=True, slots=True)
class _Move:
    source: AssetAllocation
    target: AssetAllocation
    value: Decimal  # at most; in the counting asset

    @property
    def amount(self) -> Decimal:
        return min(self.value / self.source.price, self.source.free)


def _largest_move(
    assets: Sequence[AssetAllocation], situation: Situation, rules: RebalancingRules
) -> tuple[_Move, Conversion] | NoConversion:
    reasons = []
    with localcontext(ROUND_DOWN_CONTEXT):
        for move in _moves(assets):
            result = _convert(move, situation, rules)
            if isinstance(result, Conversion):
                return move, result
            reasons.append(result.reason)
    return NoConversion("; ".join(dict.fromkeys(reasons)) or "every asset is at its target")


def _moves(assets: Sequence[AssetAllocation]) -> list[_Move]:
    moves = [
        _Move(source, target, min(source.surplus, -target.surplus, source.free * source.price))
        for source in assets
        for target in assets
        if source.surplus > 0 > target.surplus
    ]
    return sorted(moves, key=lambda move: -move.value)


def _convert(move: _Move, situation: Situation, rules: RebalancingRules) -> Conversion | NoConversion:
    source, target = move.source.asset, move.target.asset
    if move.value < rules.minimum_value or not move.value:
        worth = f"{move.value:.2f} {situation.quote} from {source} to {target}"
        return NoConversion(f"{worth} is less than the minimum of {rules.minimum_value:f}")
    return best_conversion(source, target, move.amount, situation.market)


def _recommend_move(
    move: _Move, conversion: Conversion, fired: tuple[Trigger, ...], rules: RebalancingRules
) -> RebalanceRecommendation:
    notes = "; ".join(trigger.note for trigger in fired)
    shares = f"{_describe_share(move.source)}, {_describe_share(move.target)}"
    return RebalanceRecommendation(
        source_asset=move.source.asset,
        target_asset=move.target.asset,
        amount=conversion.spends,
        expected=conversion.receives,
        priority=_priority(fired, rules),
        reasoning=f"{notes}. {shares}: {_list_trades(conversion)}.",
        triggers=fired,
        trades=conversion.trades,
    )


def _recommend_round(
    opportunity: Opportunity, fired: tuple[Trigger, ...], rules: RebalancingRules
) -> RebalanceRecommendation:
    note = f"{opportunity.path} gains {100 * opportunity.gain:.3f} % after costs"
    trigger = Trigger(
        kind=TriggerKind.OPPORTUNITY,
        subject=opportunity.path,
        value=float(opportunity.gain),
        limit=float(rules.opportunity),
        note=note,
    )
    return RebalanceRecommendation(
        source_asset=opportunity.start.asset,
        target_asset=opportunity.start.asset,
        amount=opportunity.conversion.spends,
        expected=opportunity.conversion.receives,
        priority=Priority.LOW,
        reasoning=f"{note} at these prices, which must still hold: {_list_trades(opportunity.conversion)}.",
        triggers=(*fired, trigger),
        trades=opportunity.conversion.trades,
    )


def _priority(fired: Sequence[Trigger], rules: RebalancingRules) -> Priority:
    kinds = {trigger.kind for trigger in fired}
    drifts = [abs(trigger.value) for trigger in fired if trigger.kind is TriggerKind.DRIFT]
    if TriggerKind.CONCENTRATION in kinds or any(drift >= 2 * float(rules.drift) for drift in drifts):
        return Priority.HIGH
    return Priority.MEDIUM if kinds & {TriggerKind.DRIFT, TriggerKind.GAIN} else Priority.LOW


def _no_trigger_reason(assets: Sequence[AssetAllocation], situation: Situation) -> str:
    furthest = max(assets, key=lambda each: abs(each.drift))
    gains = "" if situation.reference_prices else "; gains are unknown, there are no prices to compare with"
    return f"nothing calls for it: {_describe_share(furthest)} and no asset is further from its target{gains}"


def _join_reasons(fired: Sequence[Trigger], refusal: NoConversion) -> str:
    notes = "; ".join(trigger.note for trigger in fired)
    return f"{notes}, but {refusal.reason}" if notes else refusal.reason


def _describe_share(allocation: AssetAllocation) -> str:
    share, target = percent(allocation.share), percent(allocation.target)
    return f"{allocation.asset} is {share} against a target of {target}"


def _list_trades(conversion: Conversion) -> str:
    return ", then ".join(map(str, conversion.trades))
