"""Gathers the inputs of one decision from the market and the account: everything known at its time, nothing later."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from ml.decision.account_reader import AccountReader
from ml.decision.inputs import DecisionInputs
from ml.decision.market_reader import MarketReader
from ml.learning.policy import Policy
from ml.learning.registry import PolicyRegistry
from trading.indicators.companions import reference_of
from trading.market import Pair, next_month


@dataclass(frozen=True, slots=True)
class InputReader:
    """Reads the market, the account and the champion. `clock` None: on history, the newest candle's close."""

    account: AccountReader
    policies: PolicyRegistry
    clock: Callable[[], datetime] | None = None

    @property
    def market(self) -> MarketReader:
        return self.account.market

    def now(self) -> datetime:
        """Return the clock's time, or without a clock the close of the newest stored candle of any pair.

        One clock for all pairs: a pair that lags behind, or has no candle, is late; it does not turn time back.
        """
        return self.clock() if self.clock else self.market.newest_close_time_of_all()

    def inputs(self, pair: Pair, decided_at: datetime) -> DecisionInputs:
        """Gather everything known at `decided_at`. NotStored says which asset to materialise."""
        market, account = self.market, self.account
        candles = market.feature_window(pair, decided_at)
        companions = market.companion_windows(pair, decided_at)
        policy = self.policies.champion(pair, decided_at)
        position = account.position(pair)
        commitments = account.commitments(decided_at)
        return DecisionInputs(
            account=account.name,
            dataset=market.universe.dataset,
            pair=pair,
            timeframe=market.universe.timeframe,
            decided_at=decided_at,
            candles=candles,
            companions=companions,
            reference=reference_of(pair, market.universe),
            features=market.features(pair, candles, companions),
            policy=policy,
            policy_age_days=_policy_age_days(policy, decided_at) if policy else None,
            sentiment=market.sentiment(pair, decided_at),
            position=position,
            candles_since_opening=market.candles_since_opening(position, decided_at),
            state=account.state(pair, commitments, decided_at),
            oldest_unsettled_age=commitments.oldest_unsettled_age(decided_at),
            oldest_price=account.oldest_price(commitments.valuation_pairs(pair), decided_at),
            instrument=account.instruments[pair],
        )

    def exit_inputs(self, pair: Pair, decided_at: datetime) -> DecisionInputs | None:
        """Gather what closing the open position needs and nothing else: the pair's own candles and the balances.

        What is not read is empty or NaN. None without a position, or while an order of the pair has no outcome.
        """
        market, account = self.market, self.account
        position = account.position(pair)
        unsettled = account.has_unsettled_order(pair)
        if position is None or unsettled:
            return None
        return DecisionInputs(
            account=account.name,
            dataset=market.universe.dataset,
            pair=pair,
            timeframe=market.universe.timeframe,
            decided_at=decided_at,
            candles=market.window(pair, decided_at, 1),
            companions={},
            reference=None,
            features={},
            policy=None,
            policy_age_days=None,
            sentiment=None,
            position=position,
            candles_since_opening=market.candles_since_opening(position, decided_at),
            state=account.state_for_exit(pair, decided_at),
            oldest_unsettled_age=timedelta(0),
            oldest_price=None,
            instrument=account.instruments[pair],
        )


def _policy_age_days(policy: Policy, at: datetime) -> float:
    """Days since the end of the month that the policy was tested on."""
    tested = datetime.combine(next_month(policy.test_month), time(), UTC)
    return max((at - tested) / timedelta(days=1), 0.0)
