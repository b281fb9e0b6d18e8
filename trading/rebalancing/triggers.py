"""What calls for a rebalancing: a share that drifted, one that is too large, a gain, a new regime."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from enum import StrEnum

from trading.portfolio.rates import rate
from trading.rebalancing.conversion import DOWNWARDS
from trading.rebalancing.portfolio import Holding, Situation
from trading.rebalancing.rules import RebalancingRules


class TriggerKind(StrEnum):
    CONCENTRATION = "concentration"
    DRIFT = "drift"
    GAIN = "gain"
    REGIME_CHANGE = "regime change"
    OPPORTUNITY = "triangular opportunity"


@dataclass(frozen=True, slots=True)
class Trigger:
    kind: TriggerKind
    subject: str  # asset, pair or path
    value: float
    limit: float
    note: str


def allocation_triggers(
    parts: Sequence[Holding], situation: Situation, rules: RebalancingRules
) -> tuple[Trigger, ...]:
    """Every trigger that fires, beyond its limit and not at it; opportunities are another module's."""
    with localcontext(DOWNWARDS):
        return (
            *_concentrations(parts, rules),
            *_drifts(parts, rules),
            *_gains(parts, situation, rules),
            *_regime_changes(situation, rules),
        )


def percent(share: Decimal) -> str:
    return f"{100 * share:.1f} %"


def _concentrations(parts: Sequence[Holding], rules: RebalancingRules) -> list[Trigger]:
    return [
        _trigger(
            TriggerKind.CONCENTRATION,
            part.asset,
            part.share,
            rules.concentration,
            f"{part.asset} is {percent(part.share)} of the portfolio",
        )
        for part in parts
        if part.share > rules.concentration
    ]


def _drifts(parts: Sequence[Holding], rules: RebalancingRules) -> list[Trigger]:
    return [
        _trigger(
            TriggerKind.DRIFT,
            part.asset,
            part.drift,
            rules.drift,
            f"{part.asset} is {percent(abs(part.drift))} {'above' if part.drift > 0 else 'below'} its target",
        )
        for part in parts
        if abs(part.drift) > rules.drift
    ]


def _gains(parts: Sequence[Holding], situation: Situation, rules: RebalancingRules) -> list[Trigger]:
    if not situation.reference_prices:
        return []
    before = {
        part.asset: rate(part.asset, situation.quote, situation.reference_prices)
        for part in parts
        if part.value
    }
    gains = {part.asset: part.price / before[part.asset] - 1 for part in parts if part.value}
    return [
        _trigger(
            TriggerKind.GAIN,
            asset,
            gain,
            rules.gain,
            f"{asset} gained {percent(gain)} since the last rebalancing",
        )
        for asset, gain in gains.items()
        if gain > rules.gain
    ]


def _regime_changes(situation: Situation, rules: RebalancingRules) -> list[Trigger]:
    return [
        Trigger(
            TriggerKind.REGIME_CHANGE,
            str(shift.pair),
            shift.now.weights[kind],
            float(rules.regime_weight),
            f"{shift.pair} turned from {shift.before.value} to {kind.value}",
        )
        for shift in situation.shifts
        if (kind := shift.now.kind) is not None
        and kind is not shift.before
        and shift.now.weights[kind] >= rules.regime_weight
    ]


def _trigger(kind: TriggerKind, subject: str, value: Decimal, limit: Decimal, note: str) -> Trigger:
    return Trigger(kind, subject, float(value), float(limit), f"{note} (limit {percent(limit)})")
