"""Gathers what one decision may see: everything known at its clock, nothing later."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from ml.known import Known
from ml.policy import Policy
from ml.registry import PolicyRegistry
from ml.sentiment import PairSentiment, pair_sentiment, quote_is_crypto
from trading.account import Account, opening_balances, snapshot
from trading.errors import NotStored
from trading.fills import Costs
from trading.indicators import LOOKBACK, live_row
from trading.market import Instrument, Pair, Universe, next_month
from trading.portfolio import Position, rate
from trading.ports import Journal, NewsStore, TableStore
from trading.risk import AccountState

MOVE_UNTIL_FILLED = 0.002  # between two candles; a larger gap is the venue's to refuse
NEWS_HORIZON = timedelta(days=400)  # far enough to say how old the newest article is


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The stores that a decision reads. `clock` None: on history it is always the close of the newest candle."""

    universe: Universe
    account: Account
    candles: TableStore
    news: NewsStore
    policies: PolicyRegistry
    journal: Journal
    instruments: Mapping[Pair, Instrument]
    costs: Mapping[Pair, Costs]
    sentiment_half_life_hours: float
    clock: Callable[[], datetime] | None = None

    def at(self, pair: Pair, decided_at: datetime) -> Known:
        """Everything known at `decided_at`. NotStored says which asset to materialise."""
        window = self._window(pair, decided_at, LOOKBACK + 1)
        prices = self.prices(decided_at)
        policy = self.policies.champion(pair, decided_at)
        position = self.journal.position(self.account.name, pair)
        return Known(
            account=self.account.name,
            dataset=self.universe.dataset,
            pair=pair,
            timeframe=self.universe.timeframe,
            decided_at=decided_at,
            candles=window,
            features=live_row(window),
            policy=policy,
            policy_age_days=_policy_age_days(policy, decided_at) if policy else None,
            sentiment=self.sentiment(pair, decided_at),
            position=position,
            state=self.state(pair, position, prices, decided_at),
            instrument=self.instruments[pair],
        )

    def now(self) -> datetime:
        """The clock: wall time where one was given, else the close of the newest stored candle of any pair.

        One clock for all pairs: a pair that lags behind is late, it does not turn time back.
        """
        return self.clock() if self.clock else max(map(self.newest_close, self.universe.pairs))

    def closed_by(self, pair: Pair, at: datetime) -> datetime:
        """Close of the newest candle that had closed by then."""
        time: datetime = self._window(pair, at, 1)["close_time"][-1]
        return time

    def newest_close(self, pair: Pair) -> datetime:
        """Close of the newest stored candle."""
        months = self.candles.months(pair)
        newest = self.candles.read(pair, months[-1])["close_time"].max() if months else None
        if not isinstance(newest, datetime):
            raise NotStored(f"no candles of {pair} in {self.universe.dataset}: materialise `ohlcv` first")
        return newest

    def prices(self, at: datetime) -> dict[Pair, Decimal]:
        """Last close of every pair that was known at `at`."""
        return {pair: Decimal(str(self._window(pair, at, 1)["close"][-1])) for pair in self.universe.pairs}

    def ensure_account(self, at: datetime) -> None:
        """Book the opening balances once, at the prices of the account's first decision."""
        self.journal.open_account(self.account.name, opening_balances(self.account, self.prices(at)), at)

    def snapshot(self, at: datetime) -> dict[str, Any]:
        """The account as it stands, with the day's opening and the peak so far."""
        name = self.account.name
        balances = self.journal.balances(name, at)
        if not balances:
            raise NotStored(f"account {name} had not opened by {at:%Y-%m-%d %H:%M} UTC: choose a later day")
        return snapshot(self.journal.snapshots(name), at, balances, self.account.quote, self.prices(at))

    def state(
        self, pair: Pair, position: Position | None, prices: Mapping[Pair, Decimal], at: datetime
    ) -> AccountState:
        """What risk must know of the account; values are counted in the account's quote asset."""
        now = self.snapshot(at)
        held = self.journal.positions(self.account.name)
        values = {each.pair: _value(each, self.account.quote, prices) for each in held}
        free = self._free(pair, held, prices)
        return AccountState(
            equity=float(now["equity"]),
            equity_peak=float(now["peak_equity"]),
            day_opening_equity=float(now["opening_equity"]),
            position_value=values.get(pair, 0.0) if position else 0.0,
            exposure_value=sum(values.values()),
            available_base=float(free.get(pair.base, Decimal(0))),
            available_quote=float(free.get(pair.quote, Decimal(0))) / (1 + self._concession(pair)),
            quote_rate=float(rate(pair.quote, self.account.quote, prices)),
        )

    def _free(
        self, pair: Pair, held: Sequence[Position], prices: Mapping[Pair, Decimal]
    ) -> dict[str, Decimal]:
        """Balances without what other pairs' positions need to be closed: a stop must find its inventory."""
        free = dict(self.journal.balances(self.account.name))
        for each in held:
            if each.pair != pair:
                asset, amount = self._needed_to_close(each, prices)
                free[asset] = max(free.get(asset, Decimal(0)) - amount, Decimal(0))
        return free

    def _needed_to_close(self, position: Position, prices: Mapping[Pair, Decimal]) -> tuple[str, Decimal]:
        if position.quantity > 0:
            return position.pair.base, position.quantity
        fee = self.instruments[position.pair].taker_fee
        price = prices[position.pair] * (1 + fee + Decimal(str(self._concession(position.pair))))
        return position.pair.quote, -position.quantity * price

    def _concession(self, pair: Pair) -> float:
        """What a market order may pay above the last close: spread, slippage, and a small move until it fills."""
        return self.costs[pair].half_spread + self.costs[pair].slippage + MOVE_UNTIL_FILLED

    def sentiment(self, pair: Pair, at: datetime) -> PairSentiment | None:
        """Tone of the news about the pair's assets, None when there is none to speak of."""
        base, quote = (self.news.sentiment(asset, at - NEWS_HORIZON, at) for asset in (pair.base, pair.quote))
        judged = quote if quote_is_crypto(pair) else None
        return pair_sentiment(base, judged, at, self.sentiment_half_life_hours)

    def _window(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        window = self.candles.tail(pair, until, rows)
        if window.is_empty():
            raise NotStored(
                f"no candle of {pair} in {self.universe.dataset} had closed by {until:%Y-%m-%d %H:%M} UTC: "
                "materialise the months of `ohlcv` before it"
            )
        return window


def _value(position: Position, quote: str, prices: Mapping[Pair, Decimal]) -> float:
    return float(abs(position.quantity) * rate(position.pair.base, quote, prices))


def _policy_age_days(policy: Policy, at: datetime) -> float:
    """Since the end of the month that the policy was tested on."""
    tested = datetime.combine(next_month(policy.test_month), time(), UTC)
    return max((at - tested) / timedelta(days=1), 0.0)
