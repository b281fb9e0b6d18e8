"""Everything that one decision needs, in memory: candles, an account, a paper venue and the readers over them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl

from ml.decision.account_reader import AccountReader
from ml.decision.execute import ExecutedDecision, execute_decision
from ml.decision.market_reader import MarketReader
from ml.decision.reader import InputReader
from ml.learning.registry import PolicyRegistry
from tests.doubles.stores import MemoryJournal, MemoryNews, MemoryPromotions, MemoryTable
from tests.ml.decision.trading_day import INSTRUMENT, PAIR, RISING, RULES, candles
from trading.account import Account
from trading.execution import ExecutionRules, OrderExecutor
from trading.fills import Costs, Liquidity
from trading.market import CANDLE_SCHEMA, Instrument, Pair, Timeframe, Universe, month_of
from trading.orders import Fill, Order, OrderIntent, OrderStatus, Side
from trading.ports import Journal, Quote, TableStore
from trading.venues.paper import PaperVenue
from trading.venues.paper_market import PaperMarket

ACCOUNT = Account("paper-test", "USDT", Decimal(2100), {"USDT": Decimal(1000)}, "BTC")
_HOLDERS = count(1)
COSTS = Costs(taker_fee=0.0026, half_spread=0.0001, slippage=0.0002)


class TableSource:
    """A candle source over one table; a price is only quoted where the table has it."""

    origin = "test"

    def __init__(self, table: pl.DataFrame) -> None:
        self.table = table

    def span(self, pair: object) -> tuple[datetime, datetime]:
        return self.table["open_time"][0], self.table["close_time"][-1]

    def candles(self, pair: object, start: datetime, end: datetime) -> pl.DataFrame:
        return self.table.filter(pl.col("open_time") >= start, pl.col("open_time") < end)

    def quote_after(self, pair: object, time: datetime) -> Quote | None:
        later = self.table.filter(pl.col("open_time") >= time)
        return Quote(later["open"][0], later["open_time"][0]) if later.height else None


def input_reader(
    folder: Path,
    candles: TableStore,
    journal: Journal,
    *,
    universe: Universe | None = None,
    account: Account = ACCOUNT,
    instruments: Mapping[Pair, Instrument] | None = None,
    policies: PolicyRegistry | None = None,
) -> InputReader:
    """Build the readers of an account that trades PAIR with COSTS by default."""
    universe = universe or Universe((PAIR,), "USDT", Timeframe.H1, "test")
    market = MarketReader(
        universe,
        candles,
        MemoryNews(),
        costs=dict.fromkeys(universe.pairs, COSTS),
        sentiment_half_life_hours=24.0,
    )
    by_pair = instruments or {pair: replace(INSTRUMENT, pair=pair) for pair in universe.pairs}
    return InputReader(
        AccountReader(account, journal, market),
        policies or PolicyRegistry(folder, MemoryPromotions()),
        instrument=by_pair.__getitem__,
        stored_instrument=by_pair.__getitem__,
    )


def with_market(reader: InputReader, **changes: Any) -> InputReader:
    """The same readers over a market with these changes."""
    account = replace(reader.account, market=replace(reader.market, **changes))
    return replace(reader, account=account)


def with_pairs(reader: InputReader, *pairs: Pair, **changes: Any) -> InputReader:
    """The same readers over an account that trades these pairs, each with the same instrument and costs."""
    universe = Universe(pairs, "USDT", reader.market.universe.timeframe, "test")
    reader = with_market(reader, universe=universe, costs=dict.fromkeys(pairs, COSTS), **changes)
    instruments = {pair: replace(INSTRUMENT, pair=pair) for pair in pairs}
    return replace(reader, instrument=instruments.__getitem__, stored_instrument=instruments.__getitem__)


def write_by_month(store: MemoryTable, pair: Pair, table: pl.DataFrame) -> None:
    for _, rows in table.group_by(pl.col("open_time").dt.truncate("1mo"), maintain_order=True):
        store.write(pair, month_of(rows["open_time"][0]), rows)


class DecisionWorld:
    """An account that trades PAIR; the newest `hidden` candles are known to the venue alone."""

    def __init__(
        self,
        folder: Path,
        hidden: int = 1,
        journal: Journal | None = None,
        drift: float = RISING,
        market: pl.DataFrame | None = None,
    ) -> None:
        self.folder = folder
        self.all_candles = candles(drift, rows=1003) if market is None else market
        self.table = MemoryTable(CANDLE_SCHEMA)
        write_by_month(self.table, PAIR, self.all_candles.head(self.all_candles.height - hidden))
        self.journal: Any = journal or MemoryJournal()
        self.reader = input_reader(folder, self.table, self.journal)
        self.deciding_journal: Any = self.journal  # the one that the decision writes to
        self.executor: Any = self.executor_over(self.all_candles)

    def executor_over(self, known_to_venue: pl.DataFrame, venue: Any = None) -> OrderExecutor:
        """Build an executor whose paper venue knows these candles of every pair, or which has another venue."""
        return OrderExecutor(
            self.journal,
            venue or self.paper_venue(known_to_venue),
            lambda pair, since, until: self.reader.market.candles_after(pair, since, until),
            ExecutionRules(entry_age=timedelta(hours=2), real_time=False),
            holder=f"test-{next(_HOLDERS)}",
        )

    def paper_venue(self, known: pl.DataFrame) -> PaperVenue:
        """Build a paper venue that knows these candles of every pair."""
        market = PaperMarket(TableSource(known), Timeframe.H1, Liquidity(0))
        terms = defaultdict(lambda: INSTRUMENT)
        costs = defaultdict(lambda: COSTS)
        return PaperVenue(self.journal, ACCOUNT.name, market, terms, costs, lambda: self.reader.now())

    def with_pairs(self, *pairs: Pair) -> None:
        """Let the account trade these pairs, all with the candles of PAIR."""
        for pair in pairs:
            for month in self.table.months(PAIR):
                self.table.write(pair, month, self.table.read(PAIR, month))
        self.reader = with_pairs(self.reader, *pairs)

    def execute(
        self, as_of: datetime | None = None, executor: Any = None, pair: Pair = PAIR
    ) -> ExecutedDecision:
        return execute_decision(
            pair,
            self.reader.read_clock(as_of),
            self.reader,
            RULES,
            journal=self.deciding_journal,
            executor=executor or self.executor,
        )

    @property
    def newest(self) -> datetime:
        return self.reader.market.newest_close_time(PAIR)


def record_intent(
    journal: Journal,
    name: str,
    pair: Pair,
    side: Side,
    quantity: str,
    at: datetime,
    *,
    account: str = ACCOUNT.name,
    reduces: bool = False,
    stop: str | None = None,
    target: str | None = None,
) -> None:
    """Record a decision and its order, which no venue has answered yet."""
    intent = OrderIntent(
        intent_id=name,
        decision_id=name,
        account=account,
        pair=pair,
        side=side,
        quantity=Decimal(quantity),
        reduces=reduces,
        stop_loss=None if stop is None else Decimal(stop),
        take_profit=None if target is None else Decimal(target),
        created_at=at,
    )
    receipt = {
        "decision_id": name, "account": account, "pair": str(pair), "decided_at": at.isoformat(),
        "action": "LONG", "confidence": 1.0, "opinions": [],
    }  # fmt: skip
    journal.record_decision(receipt, intent)


def record_fill(
    journal: Journal,
    name: str,
    pair: Pair,
    side: Side,
    quantity: str,
    price: str,
    at: datetime,
    *,
    fee: int = 0,
    account: str = ACCOUNT.name,
    **intent: Any,
) -> None:
    """Record an order of this name, see `record_intent`, and its whole fill."""
    record_intent(journal, name, pair, side, quantity=quantity, at=at, account=account, **intent)
    fill = Fill(
        fill_id=name,
        intent_id=name,
        account=account,
        pair=pair,
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        fee_asset=pair.quote,
        filled_at=at,
    )
    journal.record_order(Order(name, OrderStatus.FILLED, "", at), [fill])
