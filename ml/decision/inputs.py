"""The inputs of one decision, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl

from ml.agents.judgements import Judgement
from ml.agents.vote_weights import VoteWeights
from ml.decision.clock import SECOND, ClockReading
from ml.decision.recorded_tables import RecordedTable
from ml.decision.valuation import Valuation
from ml.learning.policy import Policy
from ml.sentiment.pair import PairSentiment
from trading.fills import Costs
from trading.indicators.companions import reference_of
from trading.market import Instrument, Pair, Timeframe, Universe
from trading.orders import OrderKind, WorkingOrder
from trading.portfolio import Position
from trading.ports.market_data import SeenBook
from trading.risk import AccountState, MarketState


@dataclass(frozen=True, slots=True)
class OldestPrice:
    """The pair with the oldest of the prices that the account and the order are valued with."""

    pair: Pair
    close_time: datetime


@dataclass(frozen=True, slots=True)
class OpenGap:
    """A stretch of the pair's market whose trades may be missing."""

    since: datetime
    until: datetime | None  # None: it still lasts
    reason: str


@dataclass(frozen=True, slots=True)
class RecordedTables:
    """The tables that a decision reads, as they are stored: by the digest of their content."""

    candles: RecordedTable
    companions: Mapping[Pair, RecordedTable]
    news: RecordedTable

    @property
    def contents(self) -> dict[str, bytes]:
        """Return the content of all of them by its digest."""
        tables = (self.candles, *self.companions.values(), self.news)
        return {digest: content for each in tables for digest, content in each.contents.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketInputs:
    """What a decision reads of the market and of the venue's rules, before the account is locked."""

    universe: Universe
    pair: Pair
    clock: ClockReading
    newest_known_at: datetime  # of the pair's newest stored candle, whatever the clock says
    candles: pl.DataFrame  # the window that the features come from, CANDLE_SCHEMA
    companions: Mapping[
        Pair, pl.DataFrame
    ]  # other pairs that features compare with; an empty table: nothing known
    costs: Mapping[Pair, Costs]  # of trading, which features of several pairs count with
    features: Mapping[str, float | None]  # of the newest candle; None: not known
    policy: Policy | None  # the champion
    policy_age_days: float | None
    news: pl.DataFrame  # SENTIMENT_SCHEMA, of the pair's assets, by known_at: what `sentiment` weighs
    half_life_hours: float  # of the weight of an article
    sentiment: PairSentiment | None
    instrument: Instrument
    open_gap: OpenGap | None = None  # the newest one within the candles' window; None: no trade is missing
    book: SeenBook | None = None  # None: nobody has watched it
    weights: VoteWeights | None = (
        None  # of the agents' votes in the market's regime; None: no version is known
    )
    tables: RecordedTables | None = None  # None: not recorded yet

    @property
    def dataset(self) -> str:
        return self.universe.dataset

    @property
    def timeframe(self) -> Timeframe:
        return self.universe.timeframe

    @property
    def reference(self) -> Pair | None:
        """Return the companion that the size depends on, None for BTC itself and where nothing was compared."""
        found = reference_of(self.pair, self.universe)
        return found if found in self.companions else None

    @property
    def decided_at(self) -> datetime:
        return self.clock.at

    @property
    def candle_close_time(self) -> datetime:
        time: datetime = self.candles["close_time"][-1]
        return time

    @property
    def close(self) -> float:
        return float(self.candles["close"][-1])

    @property
    def last_trade_time(self) -> datetime:
        """Return the close time of the newest candle with a volume; where none has any, when the window began."""
        traded: pl.Series = self.candles.filter(pl.col("volume") > 0)["close_time"]
        time: datetime = traded[-1] if traded.len() else self.candles["open_time"][0]
        return time

    @property
    def oldest_market_time(self) -> datetime:
        """Return the newest close time of the pair, or of the reference where that lags and its correlation counts.

        Another companion that lags makes features unknown and no more: a quiet cross rate must not halt trading.
        """
        times: list[datetime] = [self.candles["close_time"][-1]]
        if self.reference is not None and self.features.get("btc_correlation") is not None:
            times.append(self.companions[self.reference]["close_time"][-1])
        return min(times)

    @property
    def clock_skew_seconds(self) -> float | None:
        """Return how far two clocks are apart: the machine's and the venue's, or the run's and a stored candle's.

        A candle that became known after the run's clock says that the clock is slow; where a person chose the time, it
        is meant to be. None: the venue's clock could not be read.
        """
        if self.clock.skew_seconds is None:
            return None
        ahead = 0.0 if self.clock.chosen else (self.newest_known_at - self.decided_at) / SECOND
        return max(abs(self.clock.skew_seconds), ahead, 0.0)

    @property
    def feed_gap_age(self) -> float | None:
        """Return how many candles ago the open gap ended, 0 while it lasts; None without one."""
        if self.open_gap is None:
            return None
        return (self.decided_at - (self.open_gap.until or self.decided_at)) / self.timeframe.duration

    @property
    def market(self) -> MarketState:
        """Return what the size depends on beside prices."""
        return MarketState(btc_correlation=self.features.get("btc_correlation"))


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheredMarket(MarketInputs):
    """The market's inputs, with what values the account and advances its position."""

    valuation: Valuation
    correlations: Mapping[Pair, float | None]  # with the other pairs; None: not known
    unchecked: pl.DataFrame  # CANDLE_SCHEMA: not yet compared with the open position's levels


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionInputs(MarketInputs):
    """Everything that one decision may see. The market was known at `decided_at`, the account is as it is now."""

    account: str
    position: Position | None  # of the pair
    working: tuple[WorkingOrder, ...]  # every order of the account without a final state
    state: AccountState
    oldest_unsettled_age: timedelta  # since the oldest order without an outcome was decided; zero without one
    comparison_age: (
        timedelta | None
    )  # since ledger and exchange agreed; None: at no exchange, or a chosen time
    oldest_price: OldestPrice | None  # None: nothing in the account needs a price
    free: Mapping[str, Decimal]  # balances that nothing reserves
    left_out: Mapping[str, Decimal]  # balances that no pair prices: no part of the equity
    notes: tuple[str, ...]  # what is held in pairs that are not traded any more, and what it counts with
    waited: timedelta = timedelta(0)  # from reading the clock to the vote, for agents, models and other pairs
    absent: Mapping[str, str] = field(default_factory=dict)  # agents that gave no answer, and why
    judgements: Mapping[str, Judgement] = field(default_factory=dict)  # by agent: what models were asked

    @property
    def comparison_seconds(self) -> float | None:
        return None if self.comparison_age is None else self.comparison_age / SECOND

    @property
    def exit_under_way(self) -> WorkingOrder | None:
        """Return the exit of the pair that has no outcome yet."""
        return next(iter(self._orders(OrderKind.EXIT)), None)

    @property
    def pending_entries(self) -> tuple[WorkingOrder, ...]:
        """Return the entries of the pair that may still be filled."""
        return self._orders(OrderKind.ENTRY)

    def _orders(self, kind: OrderKind) -> tuple[WorkingOrder, ...]:
        return tuple(
            each for each in self.working if each.intent.pair == self.pair and each.intent.kind is kind
        )
