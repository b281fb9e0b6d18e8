"""The target of the portfolio, and how far it may move from that."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from trading.errors import InvalidValue
from trading.portfolio.exact import check_amount

_MAXIMA = {
    "drift": "1",
    "concentration": "1",
    "gain": "100",
    "regime_weight": "1",
    "opportunity": "1",
    "opportunity_share": "1",
    "disagreement": "0.5",
}


@dataclass(frozen=True, slots=True)
class RebalancingRules:
    """Shares are fractions of the portfolio's value unless said otherwise (0.1 = 10 %)."""

    targets: Mapping[str, Decimal]  # per asset, together exactly 1
    drift: Decimal  # distance of a share from its target, beyond which it has drifted
    concentration: Decimal  # share beyond which one asset is too much
    gain: Decimal  # rise of an asset's price since the last rebalancing, beyond which profit is taken
    regime_weight: Decimal  # weight from which on a new regime counts as a change
    opportunity: Decimal  # minimum gain of a round through three pairs, after all costs
    opportunity_share: Decimal  # part of the free balance that is sent round
    disagreement: Decimal  # prices around a triangle further apart than this: one of them must be wrong
    minimum_value: Decimal  # minimum value of a trade, in the counting asset
    execute: bool  # order the first trade of a recommendation, on paper; False: only recommend

    def __post_init__(self) -> None:
        for name, maximum in _MAXIMA.items():
            value = getattr(self, name)
            if not (value.is_finite() and 0 < value <= Decimal(maximum)):
                raise InvalidValue(f"{name} is {value}: allowed is above 0, up to {maximum}")
        check_amount("minimum_value", self.minimum_value)
        for asset, target in self.targets.items():
            if not (target.is_finite() and 0 <= target <= self.concentration):
                raise InvalidValue(
                    f"target of {asset} is {target}: allowed is from 0 to concentration, {self.concentration}; "
                    "beyond that it would be too much as soon as it is reached"
                )
        if (total := sum(self.targets.values())) != 1:
            raise InvalidValue(f"targets add up to {total}: they must add up to exactly 1")
