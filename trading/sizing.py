"""How much of a proposal may be traded: exact decimals, every bound rounded against the trader.

Runs inside EXACT, where no operation raises: what cannot be computed is NaN, and NaN compares false.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Context, Decimal

from trading.limits import AccountState, Amount, Limits, Proposal
from trading.market import Instrument
from trading.orders import Side, round_down

EXACT = Context(prec=120, rounding=ROUND_DOWN, Emax=999_999, Emin=-999_999, traps=[])

# Prices and amounts outside this range are mistakes, and inside it EXACT has digits to spare.
_SMALLEST, _LARGEST = Decimal("1e-18"), Decimal("1e18")
_NAN = Decimal("NaN")


@dataclass(frozen=True, slots=True)
class Numbers:
    """Proposal, account and instrument as decimals; NaN where missing or impossible."""

    sign: int
    entry: Decimal
    stop: Decimal  # on the price grid, never further from the entry than proposed
    take_profit: Decimal  # on the price grid, never nearer than proposed
    unit_risk: Decimal  # equity currency lost per unit of base when the proposed stop is hit
    unit_value: Decimal  # equity currency per unit of base
    unit_cost: Decimal  # what one unit of base takes out of `balance`
    balance: Decimal  # base currency when selling, quote currency when buying
    equity: Decimal
    equity_peak: Decimal
    day_opening_equity: Decimal
    position_value: Decimal
    exposure_value: Decimal


def number(value: Amount | None) -> Decimal:
    """The shortest decimal that means the same float; NaN for None and for what no trade can hold."""
    if value is None:
        return _NAN
    exact = Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)
    possible = exact.is_finite() and (exact == 0 or _SMALLEST <= abs(exact) <= _LARGEST)
    return exact if possible else _NAN


def numbers(proposal: Proposal, state: AccountState, instrument: Instrument) -> Numbers:
    buys = proposal.side is Side.BUY
    sign, entry, rate = proposal.side.sign, number(proposal.entry), number(state.quote_rate)
    # The stop moves towards the entry: rounding never risks more. The target moves away: it never earns less.
    upwards, step = (ROUND_CEILING if buys else ROUND_FLOOR), number(instrument.price_increment)
    return Numbers(
        sign=sign,
        entry=entry,
        stop=_on_grid(number(proposal.stop), step, upwards),
        take_profit=_on_grid(number(proposal.take_profit), step, upwards),
        unit_risk=sign * (entry - number(proposal.stop)) * rate,
        unit_value=entry * rate,
        unit_cost=entry * (1 + number(instrument.taker_fee)) if buys else Decimal(1),
        balance=number(state.available_quote if buys else state.available_base),
        equity=number(state.equity),
        equity_peak=number(state.equity_peak),
        day_opening_equity=number(state.day_opening_equity),
        position_value=number(state.position_value),
        exposure_value=number(state.exposure_value),
    )


def needed(
    proposal: Proposal, state: AccountState, instrument: Instrument
) -> dict[str, tuple[Amount | None, bool]]:
    """Every number that the order rests on, and whether it may be zero."""
    balances: dict[str, tuple[Amount | None, bool]] = {
        "available_base": (state.available_base, True),
        "available_quote": (state.available_quote, True),
    }
    venue: dict[str, tuple[Amount | None, bool]] = {
        "entry": (proposal.entry, False),
        "price_increment": (instrument.price_increment, False),
        "quantity_increment": (instrument.quantity_increment, False),
        "minimum_quantity": (instrument.minimum_quantity, True),
        "minimum_cost": (instrument.minimum_cost, True),
        "taker_fee": (instrument.taker_fee, True),
    }
    if proposal.reduces:
        spent = "available_quote" if proposal.side is Side.BUY else "available_base"
        return {**venue, spent: balances[spent], "reduce_quantity": (proposal.reduce_quantity, False)}
    return {
        **venue,
        **balances,
        "equity": (state.equity, False),
        "equity_peak": (state.equity_peak, False),
        "day_opening_equity": (state.day_opening_equity, False),
        "position_value": (state.position_value, True),
        "exposure_value": (state.exposure_value, True),
        "quote_rate": (state.quote_rate, False),
    }


def size(proposal: Proposal, amounts: Numbers, instrument: Instrument, limits: Limits) -> tuple[Decimal, str]:
    """The largest quantity on the grid within every bound, 0 if there is none, and the bound that decided."""
    bounds = _closing_bounds(proposal, amounts) if proposal.reduces else _entry_bounds(amounts, limits)
    unusable = [name for name, bound in bounds.items() if not bound > 0]
    if unusable:
        return Decimal(0), unusable[0]
    name = min(bounds, key=lambda bound: bounds[bound])
    return round_down(bounds[name], number(instrument.quantity_increment)), name


def kept(proposal: Proposal, limits: Limits) -> Decimal:
    """Share of the balance that the order leaves alone: closing a position may take all of it."""
    return Decimal(0) if proposal.reduces else number(limits.reserve)


def _entry_bounds(amounts: Numbers, limits: Limits) -> dict[str, Decimal]:
    cap, total = number(limits.position_cap), number(limits.total_exposure)
    return {
        "risk per trade": number(limits.risk_per_trade) * amounts.equity / amounts.unit_risk,
        "position cap": (cap * amounts.equity - amounts.position_value) / amounts.unit_value,
        "total exposure": (total * amounts.equity - amounts.exposure_value) / amounts.unit_value,
        "balance": (1 - number(limits.reserve)) * amounts.balance / amounts.unit_cost,
    }


def _closing_bounds(proposal: Proposal, amounts: Numbers) -> dict[str, Decimal]:
    return {
        "quantity to close": number(proposal.reduce_quantity),
        "balance": amounts.balance / amounts.unit_cost,
    }


def _on_grid(price: Decimal, increment: Decimal, rounding: str) -> Decimal:
    return (price / increment).to_integral_value(rounding) * increment
