"""How large an order may be: the size, and the rules about what may be lost, held and spent.

The size is the smallest of these bounds, times `correlated_size` where the pair moves with BTC, rounded down to
the quantity increment:

    risk per trade   risk_per_trade x equity / loss per unit at the proposed stop
    position cap     (position_cap x equity - value of this position) / value per unit
    asset cap        (asset_cap x equity - exposure to base or quote, the larger) / value per unit
    total exposure   (total_exposure x equity - value of all positions) / value per unit
    balance          (free balance - reserve x equity) / balance tied up per unit
    size asked for   (share asked for x equity - value of this position) / value per unit; only ever less

A purchase ties up entry x (1 + taker fee) of the quote per unit, a sale 1 of the base: nothing is borrowed.
A closing order is bound by the quantity to close and the whole free balance.
"""

from decimal import Decimal

from trading.orders import Side
from trading.risk.exact import ZERO, ExactLimits, is_positive, number, quotient, quotient_up
from trading.risk.rule_inputs import AccountAmounts, AmountsPerUnit, RuleInputs, SizeBound
from trading.risk.values import Answer, Proposal


def entry_bound(
    exact: ExactLimits,
    account: AccountAmounts,
    spendable: Decimal,
    per_unit: AmountsPerUnit,
    wanted: Decimal | None = None,
) -> SizeBound:
    """Return the smallest of the bounds of an entry. `wanted`: the share of equity that it asks for; None: no bound."""
    equity, asset = account.equity, max(account.base_exposure, account.quote_exposure)
    value = per_unit.value
    return _smallest(
        (quotient(exact.risk_per_trade * equity, per_unit.risk), "risk per trade"),
        (_of_equity(exact.position_cap, account, value), "position cap"),
        (quotient(exact.asset_cap * equity - asset, value), "asset cap"),
        (quotient(exact.total_exposure * equity - account.exposure_value, value), "total exposure"),
        (quotient(spendable, per_unit.cost), "balance"),
        *([] if wanted is None else [(_of_equity(wanted, account, value), "size asked for")]),
    )


def _of_equity(share: Decimal, account: AccountAmounts, value: Decimal) -> Decimal:
    return quotient(share * account.equity - account.position_value, value)


def closing_bound(proposal: Proposal, spendable: Decimal, per_unit: AmountsPerUnit) -> SizeBound:
    """Return how much of a position can be closed."""
    return _smallest(
        (number(proposal.reduce_quantity), "quantity to close"),
        (quotient(spendable, per_unit.cost), "balance"),
    )


def _smallest(*bounds: tuple[Decimal, str]) -> SizeBound:
    """Return the first bound that leaves nothing, else the smallest; NaN leaves nothing."""
    for quantity, rule in bounds:
        if not is_positive(quantity):
            return SizeBound(ZERO, rule)
    return SizeBound(*min(bounds, key=lambda bound: bound[0]))


def spendable_balance(
    proposal: Proposal, exact: ExactLimits, account: AccountAmounts, per_unit: AmountsPerUnit
) -> Decimal:
    """Return the free balance of the asset that is spent, less the reserve; closing may take all of it."""
    buys = proposal.side is Side.BUY
    free = account.available_quote if buys else account.available_base
    if proposal.reduces:
        return free
    price = account.quote_rate if buys else per_unit.value
    return free - quotient_up(exact.reserve * account.equity, price)


def risk_per_trade(inputs: RuleInputs) -> Answer:
    """Limit what the stop would lose."""
    return _share(inputs, inputs.size * inputs.per_unit.risk, inputs.exact.risk_per_trade, "lost at the stop")


def position_cap(inputs: RuleInputs) -> Answer:
    """Limit what this pair's position would be worth."""
    value = inputs.account.position_value + inputs.size * inputs.per_unit.value
    return _share(inputs, value, inputs.exact.position_cap, "in this position")


def asset_cap(inputs: RuleInputs) -> Answer:
    """Limit what positions of one asset would be worth, of the pair's base or its quote."""
    exposure = max(inputs.account.base_exposure, inputs.account.quote_exposure)
    value = exposure + inputs.size * inputs.per_unit.value
    return _share(inputs, value, inputs.exact.asset_cap, "in positions of one asset")


def total_exposure(inputs: RuleInputs) -> Answer:
    """Limit what all positions would be worth."""
    value = inputs.account.exposure_value + inputs.size * inputs.per_unit.value
    return _share(inputs, value, inputs.exact.total_exposure, "in all positions")


def _share(inputs: RuleInputs, value: Decimal, limit: Decimal, words: str) -> Answer:
    equity = inputs.account.equity
    measured = quotient(value, equity)
    passes = value <= limit * equity and equity > ZERO
    return Answer(measured, limit, passes, ("{:.2%} of equity {}, at most {:.2%}", measured, words, limit))


def balance(inputs: RuleInputs) -> Answer:
    """Pass when the order can be paid and leaves the reserve alone."""
    pair = inputs.instrument.pair
    asset = pair.quote if inputs.sign > 0 else pair.base
    needed, spendable = inputs.size * inputs.per_unit.cost, inputs.spendable
    passes = needed <= spendable
    note = "ties up {:.8g} {}, {:.8g} may be spent", needed, asset, spendable
    return Answer(needed, spendable, passes, note)
