"""What every REST handler works with: the gateway, the keys, the armed faults and the clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from streaming.sandbox.exchange.exchange import Exchange
from streaming.sandbox.faults import Faults
from streaming.sandbox.keys import Keys
from streaming.sandbox.model import Listing
from streaming.sandbox.order_gateway import OrderGateway, utc_time
from streaming.sandbox.rest.names import Names
from trading.margin.terms import MarginTerms
from trading.market import Instrument, Pair, PairStatus


@dataclass(frozen=True, slots=True)
class RestApi:
    """`quote`: the asset that TradeBalance and TradeVolume count in when the request names none."""

    gateway: OrderGateway
    keys: Keys
    faults: Faults
    terms: MarginTerms
    quote: str
    server: Callable[[], float]
    names: Names = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", Names(self.exchange.listings))

    @property
    def exchange(self) -> Exchange:
        return self.gateway.exchange

    def listing(self, pair: Pair) -> Listing:
        return self.exchange.listings[pair]

    def instrument(self, pair: Pair) -> Instrument:
        return self.listing(pair).instrument

    def skewed_time(self, time: float | None = None) -> datetime:
        """Return server time (now, or another) as clients see it; a clock fault makes it wrong."""
        return utc_time((self.server() if time is None else time) + self.faults.skew())

    def now(self) -> datetime:
        return utc_time(self.server())

    def system_status(self) -> PairStatus:
        return self.faults.status(None, self.exchange.system_status)

    def pair_status(self, pair: Pair) -> PairStatus:
        return self.faults.status(pair, self.exchange.status(pair))
