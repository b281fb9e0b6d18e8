"""Gathers what one decision may see: everything known at its clock, nothing later."""

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from ml.decision.commitments import Commitments, exposure
from ml.decision.inputs import Known, OldestPrice
from ml.learning.policy import Policy
from ml.learning.registry import PolicyRegistry
from ml.sentiment.pair import PairSentiment, pair_sentiment, quote_is_crypto
from trading.account import Account, opening_balances, snapshot
from trading.correlation import correlation
from trading.errors import NotStored
from trading.fills import Costs
from trading.indicators import live_row, lookback
from trading.indicators.companions import companion_pairs, companions_of, reference_of
from trading.market import CANDLE_SCHEMA, Instrument, Pair, Universe, next_month
from trading.portfolio import Position, equity, rate
from trading.ports import Journal, NewsStore, TableStore
from trading.risk import AccountState, OtherPosition
from trading.risk.halts import active_halts

NEWS_HORIZON = timedelta(days=400)  # far enough to say how old the newest article is
RESOLUTION = timedelta(microseconds=1)  # times are counted in microseconds
RATE_WINDOW = timedelta(minutes=1)  # in which orders are counted
CORRELATION_RETURNS = 100  # as many as the feature `btc_correlation`

_UNREAD = AccountState(
    equity=math.nan,
    equity_peak=math.nan,
    day_opening_equity=math.nan,
    position_value=math.nan,
    base_exposure=math.nan,
    quote_exposure=math.nan,
    exposure_value=math.nan,
    available_base=math.nan,
    available_quote=math.nan,
    quote_rate=math.nan,
    recent_orders=0,
    others=(),
    halts=(),
)


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
    held: Callable[[], Mapping[str, Decimal]] | None = (
        None  # what the venue says that a new account opens with
    )

    def at(self, pair: Pair, decided_at: datetime) -> Known:
        """Everything known at `decided_at`. NotStored says which asset to materialise."""
        rows = lookback(self.universe.timeframe) + 1
        window = self._window(pair, decided_at, rows)
        beside = {
            other: self._known(other, decided_at, rows) for other in companion_pairs(pair, self.universe)
        }
        companions = companions_of(pair, self.universe, self.costs, beside.__getitem__)
        policy = self.policies.champion(pair, decided_at)
        position = self.journal.position(self.account.name, pair)
        commitments = self.commitments(decided_at)
        return Known(
            account=self.account.name,
            dataset=self.universe.dataset,
            pair=pair,
            timeframe=self.universe.timeframe,
            decided_at=decided_at,
            candles=window,
            companions=beside,
            reference=reference_of(pair, self.universe),
            features=live_row(window, self.universe.timeframe, companions),
            policy=policy,
            policy_age_days=_policy_age_days(policy, decided_at) if policy else None,
            sentiment=self.sentiment(pair, decided_at),
            position=position,
            since_opened=self._since(position, decided_at),
            state=self.state(pair, commitments, decided_at),
            waiting=commitments.waiting(decided_at),
            oldest_price=self._oldest_price(commitments.valued_by(pair), decided_at),
            instrument=self.instruments[pair],
        )

    def holding(self, pair: Pair, decided_at: datetime) -> Known | None:
        """What closing the open position must know, and nothing else: the pair's own candles and the balances.

        What is not read is empty or NaN. None without a position, or while an order of the pair has no outcome.
        """
        position = self.journal.position(self.account.name, pair)
        waiting = self.journal.unsettled(self.account.name)
        if position is None or any(order.pair == pair for order in waiting):
            return None
        return Known(
            account=self.account.name,
            dataset=self.universe.dataset,
            pair=pair,
            timeframe=self.universe.timeframe,
            decided_at=decided_at,
            candles=self._window(pair, decided_at, 1),
            companions={},
            reference=None,
            features={},
            policy=None,
            policy_age_days=None,
            sentiment=None,
            position=position,
            since_opened=self._since(position, decided_at),
            state=self._balances_alone(pair, decided_at),
            waiting=timedelta(0),
            oldest_price=None,
            instrument=self.instruments[pair],
        )

    def now(self) -> datetime:
        """The clock: wall time where one was given, else the close of the newest stored candle of any pair.

        One clock for all pairs: a pair that lags behind, or has no candle, is late; it does not turn time back.
        """
        if self.clock:
            return self.clock()
        closes = []
        for pair in self.universe.pairs:
            with suppress(Exception):  # what is unreadable stops whoever needs it, not the time
                closes.append(self.newest_close(pair))
        return max(closes) if closes else self.newest_close(self.universe.pairs[0])

    def closed_by(self, pair: Pair, at: datetime) -> datetime:
        """Close of the newest candle that had closed by then."""
        time: datetime = self._window(pair, at, 1)["close_time"][-1]
        return time

    def newest_close(self, pair: Pair) -> datetime:
        """Close of the newest stored candle."""
        for month in reversed(self.candles.months(pair)):
            newest = self.candles.read(pair, month)["close_time"].max()
            if isinstance(newest, datetime):  # a month that was written empty says nothing
                return newest
        raise NotStored(f"no candles of {pair} in {self.universe.dataset}: materialise `ohlcv` first")

    def prices(self, at: datetime) -> dict[Pair, Decimal]:
        """Last close of every pair that was known at `at`."""
        return {pair: Decimal(str(self._window(pair, at, 1)["close"][-1])) for pair in self.universe.pairs}

    def ensure_account(self, at: datetime) -> None:
        """Book the opening balances once: what the venue holds, or the capital at the first decision's prices.

        An account that is open asks for no price: one that cannot be read must not keep a position open.
        """
        try:
            self.journal.balances(self.account.name)
            return
        except NotStored:
            pass
        opening = self.held() if self.held else opening_balances(self.account, self.prices(at))
        self.journal.open_account(self.account.name, opening, at)

    def snapshot(self, at: datetime) -> dict[str, Any]:
        """The account as it stands, with the day's opening and the peak so far."""
        name = self.account.name
        balances = self.journal.balances(name, at)
        if not balances:
            raise NotStored(f"account {name} had not opened by {at:%Y-%m-%d %H:%M} UTC: choose a later day")
        return snapshot(
            self.journal.snapshots(name),
            at,
            balances,
            self.account.quote,
            self.prices(at),
            self._midnight(at),
        )

    def _midnight(self, at: datetime) -> Decimal | None:
        """Equity with which the UTC day began, before any fill; None without the account or a price."""
        midnight = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
        balances = self.journal.balances(self.account.name, midnight - RESOLUTION)
        if not balances:
            return None
        try:
            return equity(balances, self.account.quote, self.prices(midnight))
        except NotStored:
            return None

    def _oldest_price(self, pairs: Iterable[Pair], at: datetime) -> OldestPrice | None:
        closes = [OldestPrice(pair, self.closed_by(pair, at)) for pair in sorted(pairs)]
        return min(closes, key=lambda price: price.close_time, default=None)

    def _balances_alone(self, pair: Pair, at: datetime) -> AccountState:
        """What is free to close `pair` with. Other pairs whose price cannot be read bind nothing, all else is NaN."""
        prices = self._readable_prices(at)
        whole = self._commitments(prices)
        free = replace(
            whole,
            positions=tuple(each for each in whole.positions if each.pair in prices),
            unsettled=tuple(each for each in whole.unsettled if each.pair in prices),
        ).free(pair)
        move = 1 + Decimal(repr(whole.concession(pair)))
        return replace(
            _UNREAD,
            available_base=free.get(pair.base, Decimal(0)),
            available_quote=free.get(pair.quote, Decimal(0)) / move,
        )

    def _readable_prices(self, at: datetime) -> dict[Pair, Decimal]:
        prices = {}
        for pair in self.universe.pairs:
            with suppress(Exception):  # whatever is wrong with another pair, this one must be closed
                price = Decimal(str(self._window(pair, at, 1)["close"][-1]))
                if price.is_finite() and price > 0:
                    prices[pair] = price
        return prices

    def commitments(self, at: datetime) -> Commitments:
        """Positions and unfilled orders as they stand, at the prices of `at`."""
        return self._commitments(self.prices(at))

    def _commitments(self, prices: Mapping[Pair, Decimal]) -> Commitments:
        name = self.account.name
        return Commitments(
            quote=self.account.quote,
            balances=self.journal.balances(name),
            positions=tuple(self.journal.positions(name)),
            unsettled=tuple(self.journal.unsettled(name)),
            prices=prices,
            instruments=self.instruments,
            costs=self.costs,
        )

    def state(self, pair: Pair, commitments: Commitments, at: datetime) -> AccountState:
        """What risk must know of the account; values are counted in the account's quote asset."""
        now, name, quote = self.snapshot(at), self.account.name, self.account.quote
        bets, free = commitments.bets(), commitments.free(pair)
        # A purchase may cost more than the last close says; the fee is risk's own business.
        move = 1 + Decimal(repr(commitments.concession(pair)))
        peak = self.journal.peak(name)
        return AccountState(
            equity=float(now["equity"]),
            equity_peak=float(now["equity"] if peak is None else max(peak, now["equity"])),
            day_opening_equity=float(now["opening_equity"]),
            position_value=sum(bet.value for bet in bets if bet.pair == pair),
            base_exposure=exposure(bets, pair.base),
            quote_exposure=0.0 if pair.quote == quote else exposure(bets, pair.quote),
            exposure_value=sum(bet.value for bet in bets),
            available_base=free.get(pair.base, Decimal(0)),
            available_quote=free.get(pair.quote, Decimal(0)) / move,
            quote_rate=float(rate(pair.quote, quote, commitments.prices)),
            recent_orders=self.journal.intents_since(name, at - RATE_WINDOW),
            others=tuple(
                OtherPosition(bet.pair.key, bet.side, self.correlation(pair, bet.pair, at))
                for bet in bets
                if bet.pair != pair
            ),
            halts=active_halts(self.journal.halts(name), at),
        )

    def correlation(self, pair: Pair, other: Pair, at: datetime) -> float | None:
        """Of the newest log returns that both have candles for; None while there are too few."""
        own, others = (self._window(each, at, CORRELATION_RETURNS + 1) for each in (pair, other))
        both = own.join(others, on="close_time", suffix="_other").sort("close_time")
        if both.height <= CORRELATION_RETURNS // 2:
            return None
        return correlation(both["close"].to_numpy(), both["close_other"].to_numpy())

    def sentiment(self, pair: Pair, at: datetime) -> PairSentiment | None:
        """Tone of the news about the pair's assets, None when there is none to speak of."""
        base, quote = (self.news.sentiment(asset, at - NEWS_HORIZON, at) for asset in (pair.base, pair.quote))
        judged = quote if quote_is_crypto(pair) else None
        return pair_sentiment(base, judged, at, self.sentiment_half_life_hours)

    def _since(self, position: Position | None, at: datetime) -> pl.DataFrame:
        """Closed candles since the position opened, however long ago."""
        if position is None:
            return CANDLE_SCHEMA.to_frame()
        since = self.candles.between(position.pair, position.opened_at, at)
        return since.filter(pl.col("close_time") <= at)

    def _known(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        """The newest candles, empty while there are none."""
        try:
            return self.candles.tail(pair, until, rows)
        except NotStored:
            return CANDLE_SCHEMA.to_frame()

    def _window(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        window = self._known(pair, until, rows)
        if window.is_empty():
            raise NotStored(
                f"no candle of {pair} in {self.universe.dataset} had closed by {until:%Y-%m-%d %H:%M} UTC: "
                "materialise the months of `ohlcv` before it"
            )
        return window


def _policy_age_days(policy: Policy, at: datetime) -> float:
    """Since the end of the month that the policy was tested on."""
    tested = datetime.combine(next_month(policy.test_month), time(), UTC)
    return max((at - tested) / timedelta(days=1), 0.0)
