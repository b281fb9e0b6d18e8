"""Gathers what one decision may see: everything known at its clock, nothing later."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from ml.commitments import Commitments, exposure
from ml.known import Known
from ml.policy import Policy
from ml.registry import PolicyRegistry
from ml.sentiment import PairSentiment, pair_sentiment, quote_is_crypto
from trading.account import Account, opening_balances, snapshot
from trading.correlation import correlation
from trading.errors import NotStored
from trading.fills import Costs
from trading.indicators import live_row, lookback
from trading.indicators.companions import companion_pairs, companions_of, reference_of
from trading.market import CANDLE_SCHEMA, Instrument, Pair, Universe, next_month
from trading.portfolio import Position, rate
from trading.ports import Journal, NewsStore, TableStore
from trading.risk import AccountState, OtherPosition
from trading.risk.halts import active

NEWS_HORIZON = timedelta(days=400)  # far enough to say how old the newest article is
RATE_WINDOW = timedelta(minutes=1)  # in which orders are counted
CORRELATION_RETURNS = 100  # as many as the feature `btc_correlation`


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

    def commitments(self, at: datetime) -> Commitments:
        """Positions and unfilled orders as they stand, at the prices of `at`."""
        name = self.account.name
        return Commitments(
            quote=self.account.quote,
            balances=self.journal.balances(name),
            positions=tuple(self.journal.positions(name)),
            unsettled=tuple(self.journal.unsettled(name)),
            prices=self.prices(at),
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
            halts=active(self.journal.halts(name), at),
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
