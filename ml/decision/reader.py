"""Gathers the inputs of one decision: of the market first, then of the account, which may be locked meanwhile."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from typing import Any

import polars as pl

from ml.decision.account_reader import AccountReader, oldest_price
from ml.decision.clock import Clock, ClockReading, chosen_time, history_clock
from ml.decision.inputs import DecisionInputs, MarketInputs
from ml.decision.market_reader import MarketReader
from ml.learning.policy import Policy
from ml.learning.registry import PolicyRegistry
from trading.indicators.companions import reference_of
from trading.market import CANDLE_SCHEMA, Instrument, Pair, next_month
from trading.orders import AT_VENUE, OrderKind, WorkingOrder
from trading.portfolio import Position
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

    def market_inputs(self, pair: Pair, clock: ClockReading) -> MarketInputs:
        """Gather everything that the market knew at the clock's time. NotStored says which asset to materialise."""
        market, at = self.market, clock.at
        candles = market.feature_window(pair, at)
        companions = market.companion_windows(pair, at)
        policy = self.policies.champion(pair, at)
        valuation = self.account.valuation(at)
        return MarketInputs(
            dataset=market.universe.dataset,
            pair=pair,
            timeframe=market.universe.timeframe,
            clock=clock,
            newest_known_at=self._newest_known_at(pair, clock),
            candles=candles,
            companions=companions,
            reference=reference_of(pair, market.universe),
            features=market.features(pair, candles, companions),
            policy=policy,
            policy_age_days=_policy_age_days(policy, at) if policy else None,
            sentiment=market.sentiment(pair, at),
            instrument=self.instrument(pair),
            valuation=valuation,
            correlations=market.correlations(pair, sorted({*valuation.prices} - {pair}), at),
            unchecked=self._unchecked(pair, at),
        )

    def _newest_known_at(self, pair: Pair, clock: ClockReading) -> datetime:
        """Return when the newest candle became known, by a run's clock that was read then.

        What arrived while the run worked is no sign of a slow clock: the time that has passed since is taken off.
        """
        newest = self.market.newest_known_at(pair)
        if clock.chosen or newest <= clock.at:
            return newest
        return newest - max(self.now() - clock.at, timedelta(0))

    def market_inputs_for_exit(self, pair: Pair, clock: ClockReading) -> MarketInputs:
        """Gather what closing the open position needs and nothing else: the pair's own candles and readable prices.

        What is not read is empty.
        """
        candles = self.market.window(pair, clock.at, 1)
        return MarketInputs(
            dataset=self.market.universe.dataset,
            pair=pair,
            timeframe=self.market.universe.timeframe,
            clock=clock,
            newest_known_at=candles["known_at"][-1],
            candles=candles,
            companions={},
            reference=None,
            features={},
            policy=None,
            policy_age_days=None,
            sentiment=None,
            instrument=self._instrument_for_exit(pair),
            valuation=self.account.readable_valuation(clock.at),
            correlations={},
            unchecked=self._unchecked(pair, clock.at),
        )

    def _unchecked(self, pair: Pair, at: datetime) -> pl.DataFrame:
        """Read the candles that the open position's levels were not compared with; what settles skips none of them."""
        position = self.account.position(pair)
        if position is None:
            return CANDLE_SCHEMA.to_frame()
        return self.market.candles_after(pair, position.checked_until or position.opened_at, at)

    def _position(self, market: MarketInputs, working: Iterable[WorkingOrder]) -> Position | None:
        """Return the open position, its levels compared with every closed candle, also where settling has failed."""
        position = self.account.position(market.pair)
        if position is None:
            return None
        resting = any(
            each.intent.kind is OrderKind.STOP
            and each.intent.pair == market.pair
            and each.order.status in AT_VENUE
            for each in working
        )
        return advance(position, market.unchecked, resting=resting)

    def _instrument_for_exit(self, pair: Pair) -> Instrument:
        """Return the venue's present rules, or the stored ones where it cannot be asked: it will say no by itself."""
        try:
            return self.instrument(pair)
        except Exception:
            return self.stored_instrument(pair)

    def inputs(self, market: MarketInputs) -> DecisionInputs:
        """Add the account as it is now: positions, orders without an outcome, halts and free balances."""
        account, pair, valuation = self.account, market.pair, market.valuation
        commitments = account.commitments(valuation)
        covered = valuation.covering(commitments.positions)
        return DecisionInputs(
            **_fields(market),
            account=account.name,
            position=self._position(market, commitments.working),
            working=commitments.working,
            state=account.state(pair, commitments, covered, market.correlations),
            oldest_unsettled_age=commitments.oldest_unsettled_age(valuation.at),
            oldest_price=oldest_price(commitments.valuation_pairs(pair), covered),
            free=commitments.free_balances(pair),
            left_out=account.left_out(covered),
            notes=tuple(covered.notes()),
        )

    def exit_inputs(self, market: MarketInputs) -> DecisionInputs | None:
        """Add what closing the open position needs of the account. None without a position."""
        account, pair = self.account, market.pair
        commitments = account.commitments(market.valuation)
        position = self._position(market, commitments.working)
        if position is None:
            return None
        return DecisionInputs(
            **_fields(market),
            account=account.name,
            position=position,
            working=commitments.working,
            state=account.state_for_exit(pair, commitments, market.valuation),
            oldest_unsettled_age=timedelta(0),
            oldest_price=None,
            free=commitments.free_balances(pair),
            left_out={},
            notes=(),
        )


def _fields(market: MarketInputs) -> dict[str, Any]:
    return {each.name: getattr(market, each.name) for each in fields(market)}


def _policy_age_days(policy: Policy, at: datetime) -> float:
    """Days since the end of the month that the policy was tested on."""
    tested = datetime.combine(next_month(policy.test_month), time(), UTC)
    return max((at - tested) / timedelta(days=1), 0.0)
