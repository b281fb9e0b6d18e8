"""What one look of the guard costs: every pair has a position and a new quote, and everything is valued."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import perf_counter

import numpy as np

from benchmarks.row import Benchmark, Row, row
from streaming.guard.equity import DayOpening, EquityWatch
from streaming.guard.guard import Guard
from streaming.guard.held import GuardRules
from streaming.guard.quotes import Quotes
from streaming.session.output import TopOfBook
from tests.trading.risk.risk_case import LIMITS
from trading.market import Pair
from trading.portfolio import Position
from trading.ports import AccountView

BEGIN = datetime(2024, 5, 6, 12, tzinfo=UTC)
CYCLE = timedelta(milliseconds=100)
LOOKS = 2000
TARGETS = {3: 10.0, 300: 100.0}  # milliseconds


def guard_cycle() -> Iterator[Row]:
    """Measure the 99th percentile of a look, with the quotes since the one before, for 3 and 300 pairs."""
    for count, target in TARGETS.items():
        market = _Market(count)
        guard = market.guard()
        spent = _percentile([_measure(market, number, guard.look) for number in range(LOOKS)])
        floor = _percentile([_measure(market, number, market.compare_floats) for number in range(LOOKS)])
        yield row(
            f"guard_cycle/{count}",
            f"one look at {count} positions with a new quote each and at the account's value, 99th percentile",
            spent,
            "ms",
            "the comparisons and the sum alone, in floats",
            floor,
            target=f"< {target:g} ms",
        )
        quiet = _percentile([_timed(guard.look, BEGIN + CYCLE * number, 0.0) for number in range(LOOKS)])
        yield row(
            f"guard_cycle/{count}_quiet",
            f"one look at {count} positions without news, 99th percentile",
            quiet,
            "ms",
            "the same with a new quote each",
            spent,
            target="a fraction of it",
        )


class _Market:
    """Pairs that wander around 100; stops trail, and no level is ever touched."""

    def __init__(self, count: int) -> None:
        self.pairs = [Pair(f"A{number:03d}", "USDT") for number in range(count)]
        self.quotes = Quotes(self.pairs, max_spread=0.02)
        steps = np.random.default_rng(1).normal(0, 0.02, (LOOKS, count))
        self.bids = np.clip(100 + np.cumsum(steps, axis=0), 95, 150).round(2)
        self._best, self._stop = [100.0] * count, [50.0] * count

    def guard(self) -> Guard:
        """Each pair holds one unit; the account has no debts and a peak that it stays near."""
        count = len(self.pairs)
        equity = EquityWatch("USDT", self.pairs, LIMITS, timedelta(minutes=1))
        guard = Guard(
            GuardRules(10.0, 15.0, real_time=True),
            equity,
            self.quotes,
            lambda _: Decimal("0.01"),
            lambda _: "",
        )
        positions = tuple(_position(pair) for pair in self.pairs)
        balances = {pair.base: Decimal(1) for pair in self.pairs} | {"USDT": Decimal(10_000)}
        worth = Decimal(10_000 + 100 * count)
        guard.learn(AccountView(positions, (), balances, (), worth, 0))
        guard.learn_opening(DayOpening(BEGIN.date(), worth, 0))
        return guard

    def tops(self, number: int) -> list[TopOfBook]:
        """Return the quotes that come between two looks."""
        one = Decimal(1)
        return [
            TopOfBook(pair, (Decimal(str(bid)), one), (Decimal(str(round(bid + 0.01, 2))), one), None)
            for pair, bid in zip(self.pairs, self.bids[number].tolist(), strict=True)
        ]

    def compare_floats(self, at: datetime, now: float) -> float:
        """Do what any guard must do: compare each price with stop, target and best, and add up the value."""
        total = 10_000.0
        for number, pair in enumerate(self.pairs):
            quotes = self.quotes[pair]
            bid, best = quotes.bid, self._best[number]
            if bid <= self._stop[number] or bid >= 10_000.0:
                raise AssertionError("a level was touched")
            if bid > best:
                self._best[number] = bid
                self._stop[number] = max(self._stop[number], bid - 50.0)
            total += quotes.mid
        return total


def _measure(market: _Market, number: int, look: Callable[[datetime, float], object]) -> float:
    """Return the seconds from the first quote to the end of the look."""
    tops, at = market.tops(number), BEGIN + CYCLE * number
    begin = perf_counter()
    for each in tops:
        market.quotes.observe(each)
    look(at, number / 10)
    return perf_counter() - begin


def _timed(look: Callable[[datetime, float], object], at: datetime, now: float) -> float:
    begin = perf_counter()
    look(at, now)
    return perf_counter() - begin


def _percentile(seconds: list[float]) -> float:
    return float(np.percentile(seconds, 99)) * 1e3


def _position(pair: Pair) -> Position:
    return Position(
        "benchmark", pair, Decimal(1), Decimal(100), Decimal(50), Decimal(10_000), BEGIN,
        trailing_after=Decimal(100), trailing_distance=Decimal(50),
    )  # fmt: skip


BENCHMARKS: dict[str, Benchmark] = {"guard_cycle": guard_cycle}
