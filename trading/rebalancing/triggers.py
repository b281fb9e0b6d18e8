"""The triggers of a rebalancing: a share that drifted, one that is too large, a gain, a new regime."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from enum import StrEnum

from trading.portfolio.rates import rate
from trading.rebalancing.conversion import ROUND_DOWN_CONTEXT
from trading.rebalancing.portfolio import AssetAllocation, Situation
from trading.rebalancing.rules import RebalancingRules


class TriggerKind(StrEnum):
    """The kinds of limits that call for a trade."""

    CONCENTRATION = "concentration"
    DRIFT = "drift"
    GAIN = "gain"
    REGIME_CHANGE = "regime change"
    OPPORTUNITY = "triangular opportunity"


@dataclass(frozen=True, slots=True)
class Trigger:
    """One limit that was passed."""

    kind: TriggerKind
    subject: str  # asset, pair or path
    value: float
    limit: float
    note: str


def allocation_triggers(
    assets: Sequence[AssetAllocation], situation: Situation, rules: RebalancingRules
) -> tuple[Trigger, ...]:
    """Return every trigger that fires, beyond its limit and not at it; opportunities are another module's."""
    with localcontext(ROUND_DOWN_CONTEXT):
        return (
            *_concentrations(assets, rules),
            *_drifts(assets, rules),
            *_gains(assets, situation, rules),
            *_regime_changes(situation, rules),
        )


def percent(share: Decimal) -> str:
    """Format a share with one decimal."""
    return f"{100 * share:.1f} %"


def _concentrations(assets: Sequence[AssetAllocation], rules: RebalancingRules) -> list[Trigger]:
    return [
        _trigger(
            TriggerKind.CONCENTRATION,
            each.asset,
            value=each.share,
            limit=rules.concentration,
            note=f"{each.asset} is {percent(each.share)} of the portfolio",
        )
        for each in assets
        if each.share > rules.concentration
    ]


def _drifts(assets: Sequence[AssetAllocation], rules: RebalancingRules) -> list[Trigger]:
    return [
        _trigger(
            TriggerKind.DRIFT,
            each.asset,
            value=each.drift,
            limit=rules.drift,
            note=f"{each.asset} is {percent(abs(each.drift))} {'above' if each.drift > 0 else 'below'} its target",
        )
        for each in assets
        if abs(each.drift) > rules.drift
    ]


def _gains(assets: Sequence[AssetAllocation], situation: Situation, rules: RebalancingRules) -> list[Trigger]:
    if not situation.reference_prices:
        return []
    before = {
        each.asset: rate(each.asset, situation.quote, situation.reference_prices)
        for each in assets
        if each.value
    }
    gains = {each.asset: each.price / before[each.asset] - 1 for each in assets if each.value}
    return [
        _trigger(
            TriggerKind.GAIN,
            asset,
            value=gain,
            limit=rules.gain,
            note=f"{asset} gained {percent(gain)} since the last rebalancing",
        )
        for asset, gain in gains.items()
        if gain > rules.gain
    ]


def _regime_changes(situation: Situation, rules: RebalancingRules) -> list[Trigger]:
    return [
        Trigger(
            kind=TriggerKind.REGIME_CHANGE,
            subject=str(shift.pair),
            value=shift.now.weights[kind],
            limit=float(rules.regime_weight),
            note=f"{shift.pair} turned from {shift.before.value} to {kind.value}",
        )
        for shift in situation.shifts
        if (kind := shift.now.kind) is not None
        and kind is not shift.before
        and shift.now.weights[kind] >= rules.regime_weight
    ]


def _trigger(kind: TriggerKind, subject: str, *, value: Decimal, limit: Decimal, note: str) -> Trigger:
    return Trigger(
        kind=kind,
        subject=subject,
        value=float(value),
        limit=float(limit),
        note=f"{note} (limit {percent(limit)})",
    )
