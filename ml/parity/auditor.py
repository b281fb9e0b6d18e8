"""Audits one closed day of an account: its back-test from what is stored now, and why live was another."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby

import polars as pl

from ml.backtests import Backtester
from ml.decision.account_reader import AccountReader
from ml.decision.receipt import Scope
from ml.decision_history import KnownThen
from ml.learning.registry import PolicyRegistry
from ml.parity.changes import DecidedCandle, DecisionAuditor
from ml.parity.recorded_day import RecordedDay
from ml.parity.votes import rows_of, without_readers
from trading.backtest import Bars
from trading.errors import InvalidValue, NotStored
from trading.market import Pair, midnight
from trading.parity import (
    NOTHING,
    Change,
    Kind,
    LiveOrder,
    PairDay,
    PairParity,
    ParityReport,
    Row,
    attribute,
    held_before,
)  # fmt: skip
from trading.portfolio import cash_flows, equity, priced, rate
from trading.portfolio.exact import exactly

DAY = timedelta(days=1)
RESOLUTION = timedelta(microseconds=1)
ZERO = Decimal(0)
Balances = dict[str, Decimal]
Prices = dict[Pair, Decimal]


@dataclass(frozen=True, slots=True)
class ParityAuditor:
    """Audits days of one account with the back-tester of its settings."""

    account: AccountReader
    backtester: Backtester
    policies: PolicyRegistry

    def audit(self, day: date, now: datetime) -> ParityReport:
        """Re-run the day through the back-test and attribute the difference to live; nothing is written.

        InvalidValue for a day that has not closed at `now`, NotStored for one before the account opened, or without the
        candles and features that a back-test needs.
        """
        begin, end = midnight(day), midnight(day) + DAY
        if now < end:
            raise InvalidValue(
                f"{day} has not closed: it ends at {end:%Y-%m-%d %H:%M} UTC, it is {now:%Y-%m-%d %H:%M}"
            )
        name, journal = self.account.name, self.account.journal
        opened = journal.opened_at(name)
        if opened >= end:
            raise NotStored(f"account {name} had not opened by the end of {day}: choose a later day")
        start = max(begin, opened)
        recorded = RecordedDay.read(journal, name, start, end)
        tables = {pair: self._table(pair, start, end) for pair in self.backtester.universe.pairs}
        before = {pair: _close(table, _first(table, start)) for pair, table in tables.items()}
        after = {pair: _close(table, -1) for pair, table in tables.items()}
        morning_at = start if opened >= begin else start - RESOLUTION
        morning = self._morning(recorded) if opened >= begin else journal.balances(name, morning_at)
        opening = self._value(morning, before)
        paid_in = [each for each in journal.adjustments(name) if morning_at < each.at < end]
        return ParityReport(
            day=day,
            account=name,
            quote=self.account.quote,
            opening_equity=opening,
            closing_equity=self._value(journal.balances(name, end - RESOLUTION), after),
            holding=self._value(morning, after) - opening,
            transfers=self._value(_sum({each.asset: each.amount} for each in paid_in), after),
            conversions=self._value(_sum(map(cash_flows, recorded.conversions())), after),
            pairs=[
                self._pair(
                    pair, table, recorded, opening / rate(pair.quote, self.account.quote, before), after
                )
                for pair, table in tables.items()
            ],
            notes=tuple(self._notes(recorded)),
        )

    def _table(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        """Read the day's candles with features, and those before it that the rule about quiet markets looks at."""
        universe, library = self.backtester.universe, self.backtester.library
        quiet = (library.decisions.rules.limits.trade_age + 2) * universe.timeframe.duration
        rows = library.table(pair, start - max(DAY, quiet), end).filter(pl.col("close_time") <= end)
        if rows.is_empty() or rows["close_time"][-1] <= start:
            raise NotStored(
                f"no candles of {pair} on {start:%Y-%m-%d}: materialise `ohlcv` and `features` of that month"
            )
        return rows

    def _morning(self, recorded: RecordedDay) -> Balances:
        """Return what an account opened with on the day; a first fill may have the very moment of the opening."""
        opened = self.account.journal.balances(self.account.name, recorded.start)
        early = [fill for fill in recorded.fills if fill.filled_at <= recorded.start]
        return _sum(
            [opened, *({asset: -amount for asset, amount in cash_flows(fill).items()} for fill in early)]
        )

    def _value(self, balances: Mapping[str, Decimal], prices: Prices) -> Decimal:
        """Return what can be priced; the rest is no part of the equity."""
        return equity(priced(balances, self.account.quote, prices)[0], self.account.quote, prices)

    def _rate(self, asset: str, prices: Prices) -> Decimal:
        return self._value({asset: Decimal(1)}, prices)

    def _notes(self, recorded: RecordedDay) -> Iterator[str]:
        known = set(self.backtester.universe.pairs)
        for pair in sorted({fill.pair for fill in recorded.todays} - known):
            yield f"{pair} is not traded any more: what its fills brought is unexplained"

    def _pair(
        self, pair: Pair, table: pl.DataFrame, recorded: RecordedDay, worth: Decimal, prices: Prices
    ) -> PairParity:
        rows, refused = self._planned(pair, table)
        begins = _first(table, recorded.start)
        table, rows, refused = table[begins:], rows[begins:], refused[begins:]
        candles = {closed: place for place, closed in enumerate(table["close_time"])}
        receipts = {candles[closed]: each for closed, each in recorded.of(pair).items() if closed in candles}
        first = 0 if table["close_time"][0] >= recorded.start or 0 in receipts else 1
        rows = [NOTHING] * first + rows[first:]  # the day before has decided on that candle
        decided = [
            DecidedCandle(candle, receipt, rows[candle], bool(refused[candle]))
            for candle, receipt in receipts.items()
        ]
        orders = recorded.orders(pair, candles)
        market = PairDay(
            pair=pair,
            bars=_bars(table, self.backtester.universe.timeframe.duration),
            rules=self.backtester.rules[pair],
            equity=float(worth),
            position=recorded.position(
                pair, self.backtester.library.candles, self.backtester.universe.timeframe.duration
            ),
            base_rate=self._rate(pair.base, prices),
            quote_rate=self._rate(pair.quote, prices),
            fee_rates={
                fill.fee_asset: self._rate(fill.fee_asset, prices) for each in orders for fill in each.fills
            },
        )
        return attribute(
            market,
            rows,
            [*_missed(table, range(first, len(rows) - 1), receipts), *self._changes(pair, decided)],
            orders,
            waiting=dict(_waiting(market, orders, decided)),
            candles=len(rows) - 1 - first,  # the last one is the next day's to decide on
            decisions=len(decided),
        )

    def _planned(self, pair: Pair, table: pl.DataFrame) -> tuple[list[Row], Sequence[bool]]:
        """Return what the agents that read no texts come to after each candle, and where the market's state refuses."""
        library = self.backtester.library
        agents = without_readers(library.decisions.every_agent(pair, table, self._known()))
        refused = agents.policy_too_old | library.decisions.too_quiet(table)
        rows = rows_of(library.decisions.plan(pair, table, agents))
        return [
            *rows[:-1],
            NOTHING,
        ], refused.tolist()  # the last candle's close is the next day's to decide on

    def _known(self) -> KnownThen:
        if (known := self.backtester.library.known) is None:
            raise InvalidValue("past champions lie in PostgreSQL, and this auditor was built without it")
        return known

    def _changes(self, pair: Pair, decided: Sequence[DecidedCandle]) -> Iterator[Change]:
        library, known = self.backtester.library, self._known()
        auditor = DecisionAuditor(
            self.account.market,
            library.candles,
            library.decisions,
            self.policies,
            self.account.journal.inputs,
            known,
        )
        for each in decided:
            if each.receipt.get("scope") != Scope.EXIT:
                yield from auditor.changes(pair, each)


def _waiting(
    day: PairDay, orders: Sequence[LiveOrder], decided: Iterable[DecidedCandle]
) -> Iterator[tuple[int, str]]:
    """Yield the candles after which nothing could be entered, as an order's outcome was not known yet, with words."""
    for each in decided:
        closed = day.close_time(each.candle)
        if each.is_waiting:
            yield (
                each.candle,
                f"nothing was entered at {closed:%H:%M}: an order of the pair had no outcome yet",
            )
        elif each.held and each.side_of(held_before(day, orders, closed)) is None:
            yield (
                each.candle,
                f"nothing was entered at {closed:%H:%M}: it was not known yet that the position was closed",
            )


def _missed(table: pl.DataFrame, candles: Iterable[int], decided: Collection[int]) -> Iterator[Change]:
    """Yield an empty row for each candle that nobody decided on; the first of a run has words for all of it."""
    missed = [candle for candle in candles if candle not in decided]
    for _, run in groupby(enumerate(missed), lambda placed: placed[1] - placed[0]):
        of_run = [candle for _, candle in run]
        first, last = (table["close_time"][at] for at in (of_run[0], of_run[-1]))
        several = f"{len(of_run)} candles, {first:%H:%M} to {last:%H:%M}"
        words = f"nothing was decided on {several if len(of_run) > 1 else f'the candle of {first:%H:%M}'}"
        for candle in of_run:
            yield Change(Kind.MISSED, candle, NOTHING, words if candle == of_run[0] else "")


def _bars(table: pl.DataFrame, length: timedelta) -> Bars:
    """Return the candles; the one whose close begins the day stands still at it, as nothing of it is the day's."""
    columns = {name: table[name].to_numpy().copy() for name in ("open", "high", "low", "close")}
    for prices in columns.values():
        prices[0] = columns["close"][0]
    times = table["open_time"].dt.epoch("us").to_numpy()
    return Bars(times, **columns, length=length // RESOLUTION)


def _first(table: pl.DataFrame, start: datetime) -> int:
    """Return the row of the last candle that had closed by then, whose close begins the day; 0 where none had."""
    return max(int((table["close_time"] <= start).sum()) - 1, 0)


def _close(table: pl.DataFrame, row: int) -> Decimal:
    return Decimal(repr(float(table["close"][row])))


def _sum(flows: Iterable[Mapping[str, Decimal]]) -> Balances:
    total: Balances = {}
    with exactly():
        for flow in flows:
            for asset, amount in flow.items():
                total[asset] = total.get(asset, ZERO) + amount
    return total
