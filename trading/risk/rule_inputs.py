"""One proposal with every number that the rules look at, as exact decimals; NaN where missing or impossible."""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from trading.market import Instrument
from trading.risk.exact import ExactLimits
from trading.risk.limits import Limits
from trading.risk.values import AccountState, Ages, MarketState, Proposal


class AccountAmounts(NamedTuple):
    """The amounts of an AccountState."""

    equity: Decimal
    equity_peak: Decimal
    day_opening_equity: Decimal
    quote_rate: Decimal
    position_value: Decimal
    base_exposure: Decimal
    quote_exposure: Decimal
    exposure_value: Decimal
    available_base: Decimal
    available_quote: Decimal


class VenueTerms(NamedTuple):
    """The numbers of an Instrument."""

    price_increment: Decimal
    quantity_increment: Decimal
    minimum_quantity: Decimal
    minimum_cost: Decimal
    taker_fee: Decimal


class AmountsPerUnit(NamedTuple):
    """Risk, value and cost of one unit of base currency."""

    risk: Decimal  # equity currency lost when the proposed stop is hit
    value: Decimal  # equity currency
    cost: Decimal  # of the balance that it ties up


class SizeBound(NamedTuple):
    """The largest size allowed, and the rule that allows no more."""

    quantity: Decimal  # base currency
    rule: str


@dataclass(slots=True)  # not frozen: making a frozen one takes several times as long
class RuleInputs:
    """Everything that the rules read. Nothing changes once it is made."""

    proposal: Proposal
    state: AccountState
    market: MarketState
    ages: Ages
    instrument: Instrument
    limits: Limits
    exact: ExactLimits
    account: AccountAmounts
    terms: VenueTerms
    sign: int  # 1 for a purchase, -1 for a sale
    entry: Decimal
    stop: Decimal  # on the price grid, never further from the entry than proposed
    take_profit: Decimal  # on the price grid, never nearer than proposed
    risked: Decimal  # from the entry to `stop`, per unit, in quote; below zero on the wrong side
    per_unit: AmountsPerUnit
    spendable: Decimal  # free balance less what the order leaves alone
    correlated_share: Decimal  # of the size, left by the correlation with BTC
    bound: SizeBound  # before the share and before rounding
    size: Decimal
