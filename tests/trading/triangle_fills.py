"""Fills on the triangle BTC, XRP, USDT for tests of what they add up to."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from trading.market import Pair
from trading.orders import Fill, Side

BTC_USDT, XRP_USDT, XRP_BTC = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")
TRIANGLE = (BTC_USDT, XRP_USDT, XRP_BTC)
START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
RICH = {asset: Decimal(10**9) for asset in ("BTC", "XRP", "USDT")}  # whatever the fills below ask for
PLACES = {BTC_USDT: 1, XRP_USDT: 5, XRP_BTC: 8}
TYPICAL = {BTC_USDT: Decimal(50_000), XRP_USDT: Decimal("0.5"), XRP_BTC: Decimal("0.00001")}


def fill(
    number: int, pair: Pair, side: Side, quantity: str | Decimal, price: str | Decimal,
    fee: str | Decimal = "0", fee_asset: str | None = None,
) -> Fill:  # fmt: skip
    """The `number`th fill, that many hours after START; the fee is in quote where no asset is named."""
    return Fill(
        fill_id=f"fill-{number}", intent_id=f"intent-{number}", account="paper", pair=pair, side=side,
        price=Decimal(price), quantity=Decimal(quantity), fee=Decimal(fee), fee_asset=fee_asset or pair.quote,
        filled_at=START + number * HOUR,
    )  # fmt: skip


def price_of(pair: Pair) -> st.SearchStrategy[Decimal]:
    """Between a fifth and five times the typical price, on the pair's increments."""
    typical = TYPICAL[pair]
    return st.decimals(typical / 5, typical * 5, places=PLACES[pair])


@st.composite
def fills(draw: st.DrawFn, maximum: int = 12, minimum: int = 1) -> list[Fill]:
    """Oldest first; quantities and fees to eight places, fees in the base or the quote asset."""
    made = []
    for number in range(draw(st.integers(minimum, maximum))):
        pair = draw(st.sampled_from(TRIANGLE))
        made.append(
            fill(
                number, pair, draw(st.sampled_from(Side)), draw(st.decimals("0.00000001", 100, places=8)),
                draw(price_of(pair)), draw(st.decimals(0, 1, places=8)),
                draw(st.sampled_from([pair.base, pair.quote])),
            )
        )  # fmt: skip
    return made


@st.composite
def any_prices(draw: st.DrawFn) -> dict[Pair, Decimal]:
    """A price for each pair; the three need not agree."""
    return {pair: draw(price_of(pair)) for pair in TRIANGLE}
