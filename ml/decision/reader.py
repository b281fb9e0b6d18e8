"""Gathers the inputs of one decision: of the market first, then of the account, which may be locked meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import polars as pl

from ml.agents.panel import ModelPanel
from ml.agents.vote_weights import VoteWeights
from ml.decision.account_reader import AccountReader, oldest_price
from ml.decision.clock import Clock, ClockReading, chosen_time, history_clock
from ml.decision.inputs import DecisionInputs, GatheredMarket, MarketInputs
from ml.decision.market_reader import MarketReader
from ml.decision.recording import record_tables
from ml.decision.valuation import Valuation
from ml.learning.policy import Policy
from ml.learning.registry import PolicyRegistry
from trading.indicators.regimes import newest_label
from trading.market import CANDLE_SCHEMA, Instrument, Pair, next_month
from trading.orders import AT_VENUE, OrderKind
from trading.portfolio import Position
from trading.ports import SENTIMENT_SCHEMA, AccountBooks
from trading.ports.market_data import SeenBook
from trading.risk.protection import advance


@dataclass(frozen=True, slots=True)
class InputReader:
    """Reads the market, the account and the champion. `clock` None: that of history, the newest stored candle.

    `instrument` says how the venue lets a pair be traded now; `stored_instrument` is what it said last, for exits.
    """

    account: AccountReader
    policies: PolicyRegistry
    instrument: Callable[[Pair], Instrument]
    stored_instrument: Callable[[Pair], Instrument]
    clock: Clock | None = None
    challenges: bool = False  # the newest policy decides beside the champion, in shadow mode
    # Whose answers are inputs of a decision that is carried out. In shadow mode none is asked: it may know what came.
    models: ModelPanel = field(default_factory=ModelPanel)
    weights: Callable[[datetime], VoteWeights | None] = lambda at: (
        None
    )  # the newest version known before a time

    @property
    def market(self) -> MarketReader:
        return self.account.market

    def read_clock(self, as_of: datetime | None = None) -> ClockReading:
        """Read the clock, once for everything that a run does; `as_of`: the time that a person chose."""
        return (
            chosen_time(as_of) if as_of else (self.clock or history_clock(self.market.newest_known_of_all))()
        )

    def now(self) -> datetime:
        """Return the clock's time."""
        return self.read_clock().at

    def waited(self, clock: ClockReading) -> timedelta:
        """Return how long ago a run's clock was read, by the same clock; nothing passes at a time that was chosen."""
        return timedelta(0) if clock.chosen else max(self.now() - clock.at, timedelta(0))

    def book(self, pair: Pair, clock: ClockReading) -> SeenBook | None:
        """Return the order book as it was last seen verified; None where nobody watches, and at a chosen time."""
        return None if clock.chosen else self.market.newest_book(pair)

    def for_one_decision(self, at: datetime) -> "InputReader":
        """Return the reader that reads the candles known at `at` once; it is used for one decision."""
        market = self.market.remembering(at)
        return replace(self, account=replace(self.account, market=market))

    def market_inputs(
        self, pair: Pair, clock: ClockReading, valuation: Valuation | None = None
    ) -> GatheredMarket:
        """Gather everything that the market knew at the clock's time. NotStored says which asset to materialise."""
        market, at = self.market, clock.at
        candles = market.feature_window(pair, at)
        companions = market.companion_windows(pair, at)
        policy, news = self.policies.champion(pair, at), market.news_of(pair, at)
        features, weights = market.features(pair, candles, companions), self.weights(at)
        valuation = valuation or self.account.valuation(at)
        gathered = GatheredMarket(
            universe=market.universe,
            pair=pair,
            clock=clock,
            newest_known_at=self._newest_known_at(pair, clock),
            candles=candles,
            companions=companions,
            costs={each: market.costs[each] for each in market.universe.pairs if each in market.costs},
            features=features,
            policy=policy,
            policy_age_days=policy_age_days(policy, at) if policy else None,
            news=news,
            half_life_hours=market.sentiment_half_life_hours,
            sentiment=market.tone(pair, news, at),
            instrument=self.instrument(pair),
            open_gap=market.open_gap(pair, candles["open_time"][0], at),
            book=self.book(pair, clock),
            weights=weights and weights.while_in(newest_label(features)),
            valuation=valuation,
            correlations=market.correlations(pair, sorted({*valuation.prices} - {pair}), at),
            unchecked=self._unchecked(pair, at),
        )
        return replace(gathered, tables=record_tables(gathered))

    def _newest_known_at(self, pair: Pair, clock: ClockReading) -> datetime:
        """Return when the newest candle became known, by a run's clock that was read then.

        What arrived while the run worked is no sign of a slow clock: the time that has passed since is taken off.
        """
        newest = self.market.newest_known_at(pair)
        if clock.chosen or newest <= clock.at:
            return newest
        return newest - self.waited(clock)

    def market_inputs_for_exit(self, pair: Pair, clock: ClockReading) -> GatheredMarket:
        """Gather what closing the open position needs and nothing else: the pair's own candles and readable prices.

        What is not read is empty.
        """
        candles = self.market.window(pair, clock.at, 1)
        gathered = GatheredMarket(
            universe=self.market.universe,
            pair=pair,
            clock=clock,
            newest_known_at=candles["known_at"][-1],
            candles=candles,
            companions={},
            costs={},
            features={},
            policy=None,
            policy_age_days=None,
            news=SENTIMENT_SCHEMA.to_frame(),
            half_life_hours=self.market.sentiment_half_life_hours,
            sentiment=None,
            instrument=self._instrument_for_exit(pair),
            valuation=self.account.readable_valuation(clock.at),
            correlations={},
            unchecked=self._unchecked(pair, clock.at),
        )
        return replace(gathered, tables=record_tables(gathered))

    def _unchecked(self, pair: Pair, at: datetime) -> pl.DataFrame:
        """Read the candles that the open position's levels were not compared with; what settles skips none of them."""
        position = self.account.position(pair)
        if position is None:
            return CANDLE_SCHEMA.to_frame()
        return self.market.candles_after(pair, position.checked_until or position.opened_at, at)

    def _position(self, market: GatheredMarket, books: AccountBooks) -> Position | None:
        """Return the open position, its levels compared with every closed candle, also where settling has failed."""
        if (position := books.position(market.pair)) is None:
            return None
        resting = any(
            each.intent.kind is OrderKind.STOP
            and each.intent.pair == market.pair
            and each.order.status in AT_VENUE
            for each in books.working
        )
        return advance(position, market.unchecked, resting=resting)

    def _instrument_for_exit(self, pair: Pair) -> Instrument:
        """Return the venue's present rules, or the stored ones where it cannot be asked: it will say no by itself."""
        try:
            return self.instrument(pair)
        except Exception:
            return self.stored_instrument(pair)

    def inputs(self, market: GatheredMarket, books: AccountBooks | None = None) -> DecisionInputs:
        """Add the account as it is now: positions, orders without an outcome, halts and free balances."""
        account, pair, valuation = self.account, market.pair, market.valuation
        books = books or account.books(valuation.at)
        commitments, covered = account.commitments(valuation, books), valuation.covering(books.positions)
        return DecisionInputs(
            **_fields(market),
            account=account.name,
            position=self._position(market, books),
            working=commitments.working,
            state=account.state(pair, books, covered, market.correlations),
            oldest_unsettled_age=commitments.oldest_unsettled_age(valuation.at),
            comparison_age=books.comparison_age
            if account.is_at_exchange and not market.clock.chosen
            else None,
            oldest_price=oldest_price(commitments.valuation_pairs(pair), covered),
            free=commitments.free_balances(pair),
            left_out=account.left_out(covered, books),
            notes=tuple(covered.notes()),
        )

    def exit_inputs(self, market: GatheredMarket, books: AccountBooks) -> DecisionInputs | None:
        """Add what closing the open position needs of the account. None without a position."""
        account, pair = self.account, market.pair
        position = self._position(market, books)
        if position is None:
            return None
        return DecisionInputs(
            **_fields(market),
            account=account.name,
            position=position,
            working=books.working,
            state=account.state_for_exit(pair, books, market.valuation),
            oldest_unsettled_age=timedelta(0),
            comparison_age=None,
            oldest_price=None,
            free=account.commitments(market.valuation, books).free_balances(pair),
            left_out={},
            notes=(),
        )


def _fields(market: GatheredMarket) -> dict[str, Any]:
    return {each.name: getattr(market, each.name) for each in fields(MarketInputs)}


def policy_age_days(policy: Policy, at: datetime) -> float:
    """Return the days since the end of the month that the policy was tested on."""
    tested = datetime.combine(next_month(policy.test_month), time(), UTC)
    return max((at - tested) / timedelta(days=1), 0.0)
