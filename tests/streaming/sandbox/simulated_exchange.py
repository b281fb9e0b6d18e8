"""The parts of a sandbox on a small simulated market, for tests and benchmarks."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from streaming.sandbox.config import SandboxConfig
from streaming.sandbox.market import CandleReplay
from streaming.sandbox.model import Listing
from streaming.sandbox.rates import TIERS, RateLimit, RateTier
from streaming.sandbox.server import Opening
from tests.streaming.sandbox.exchange_setup import TERMS
from trading.fills import Costs
from trading.market import Instrument, Pair, Timeframe
from trading.simulation.market import SimulatedMarket

BTC, XRP, CROSS = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")
COSTS = Costs(taker_fee=0.004, half_spread=0.0001, slippage=0.0002)
BEGINS = datetime(2024, 3, 1, tzinfo=UTC)
STARTS = BEGINS + timedelta(days=1)
MARKET = SimulatedMarket((BTC, XRP, CROSS), Timeframe.M1, 5, BEGINS, BEGINS + timedelta(days=3))
BALANCES = {"BTC": Decimal("0.5"), "USDT": Decimal(20_000), "XRP": Decimal(5_000)}
CONFIG = SandboxConfig(
    host="127.0.0.1",
    port=0,
    candles="",
    trades="",
    start="",
    speed=0.0,
    seed=1,
    history_days=1,
    latency_ms=0.0,
    latency_jitter_ms=0.0,
    level_value=Decimal(25_000),
    levels=25,
    leverage=3,
    tier="pro",
    faults=(),
)


def instrument(pair: Pair, price: str, minimum: str, cost: str) -> Instrument:
    return Instrument(
        pair, Decimal(price), Decimal("0.00000001"), Decimal(minimum), Decimal(cost), Decimal("0.004"),
        Decimal("0.0025"), maximum_leverage=Decimal(3),
    )  # fmt: skip


INSTRUMENTS = {
    BTC: instrument(BTC, "0.1", "0.00005", "0.5"),
    XRP: instrument(XRP, "0.00001", "2", "0.5"),
    CROSS: instrument(CROSS, "0.00000001", "2", "0.00002"),
}
PLENTY = RateLimit(1_000_000, 10_000)
UNHURRIED = RateTier("unhurried", PLENTY, PLENTY)  # no venue's: for whatever does not test rates
TIERS[UNHURRIED.name] = UNHURRIED
LEVEL_VALUES = {BTC: Decimal(25_000), XRP: Decimal(25_000), CROSS: Decimal(1)}


def opening(
    instruments: Mapping[Pair, Instrument] = INSTRUMENTS, begins: datetime = BEGINS, starts: datetime = STARTS
) -> Opening:
    """`begins`: when its history does; the market goes on for two days after `starts`."""
    market = SimulatedMarket((BTC, XRP, CROSS), Timeframe.M1, 5, begins, starts + timedelta(days=2))
    return Opening(
        source=CandleReplay(market, instruments, Timeframe.M1),
        start=starts,
        resumes=True,
        listings={
            pair: Listing(each, COSTS, LEVEL_VALUES[pair], CONFIG.levels)
            for pair, each in instruments.items()
        },
        quote="USDT",
        terms=TERMS,
        balances=lambda prices: BALANCES,
    )
