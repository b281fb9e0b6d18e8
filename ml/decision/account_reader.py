"""The account at a moment: balances, positions, unsettled orders, halts, equity, and the day's opening."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from ml.decision.commitments import Commitments, exposure_to
from ml.decision.inputs import OldestPrice
from ml.decision.market_reader import MarketReader
from trading.account import Account, opening_balances, portfolio_of, snapshot, with_results
from trading.errors import NotStored
from trading.market import Instrument, Pair
from trading.orders import Fill
from trading.portfolio import Position, equity, rate
from trading.ports import Journal
from trading.risk import AccountState, OtherPosition
from trading.risk.halts import active_halts

RESOLUTION = timedelta(microseconds=1)  # times are counted in microseconds
RATE_WINDOW = timedelta(minutes=1)  # orders are counted over this time

_NOT_READ = AccountState(
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
class AccountReader:
    """One account in the journal, valued at the market's last closes.

    `venue_balances` gives what a new account opens with; None: its configured capital.
    """

    account: Account
    journal: Journal
    market: MarketReader
    instruments: Mapping[Pair, Instrument]
    venue_balances: Callable[[], Mapping[str, Decimal]] | None = None

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def quote(self) -> str:
        return self.account.quote

    def ensure_open(self, at: datetime) -> None:
        """Record the opening balances once: those of the venue, or the capital at the first decision's prices.

        An account that is open needs no price: one that cannot be read must not keep a position open.
        """
        try:
            self.journal.balances(self.name)
            return
        except NotStored:
            pass
        opening = (
            self.venue_balances()
            if self.venue_balances
            else opening_balances(self.account, self.market.prices(at))
        )
        self.journal.open_account(self.name, opening, at)

    def position(self, pair: Pair) -> Position | None:
        """Return the open position of the pair."""
        return self.journal.position(self.name, pair)

    def has_unsettled_order(self, pair: Pair) -> bool:
        """Return whether an order of the pair has no outcome yet."""
        return any(order.pair == pair for order in self.journal.unsettled(self.name))

    def snapshot(self, at: datetime) -> dict[str, Any]:
        """Value the account at `at`, with the day's opening and the peak so far."""
        balances = self.journal.balances(self.name, at)
        if not balances:
            raise NotStored(
                f"account {self.name} had not opened by {at:%Y-%m-%d %H:%M} UTC: choose a later day"
            )
        return snapshot(
            history=self.journal.snapshots(self.name),
            at=at,
            balances=balances,
            quote=self.quote,
            prices=self.market.prices(at),
            midnight=self._midnight_equity(at),
        )

    def results(self, at: datetime) -> tuple[dict[str, Any], list[Fill]]:
        """Value the account at `at` as `snapshot` does, with what trading has gained and paid since it opened.

        Returns the fills that led there too, oldest first.
        """
        snapshot, fills = self._consistent_snapshot(at)
        prices = self.market.prices(at)
        opened_with = self._opening_value(portfolio_of(snapshot["balances"], fills).opening, prices)
        return with_results(snapshot, fills, prices, opened_with), fills

    def _consistent_snapshot(self, at: datetime) -> tuple[dict[str, Any], list[Fill]]:
        """Read the account and its fills; when an order fills between the two reads, read both again."""
        while True:
            fills = self.journal.fills(self.name)
            snapshot = self.snapshot(at)
            if self.journal.fills(self.name) == fills:
                return snapshot, [fill for fill in fills if fill.filled_at <= at]

    def _opening_value(self, opening: Mapping[str, Decimal], prices: Mapping[Pair, Decimal]) -> Decimal:
        """Return what the opening balances were worth when the account opened; at `prices` where none is known of then.

        The first snapshot that has it decides: candles that are corrected later do not move it.
        """
        for row in self.journal.snapshots(self.name):
            if "opened_with" in row:
                return Decimal(row["opened_with"])
        try:
            return equity(opening, self.quote, self.market.prices(self.journal.opened_at(self.name)))
        except NotStored:
            return equity(opening, self.quote, prices)

    def _midnight_equity(self, at: datetime) -> Decimal | None:
        """Equity with which the UTC day began, before any fill; None without the account or a price."""
        midnight = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
        balances = self.journal.balances(self.name, midnight - RESOLUTION)
        if not balances:
            return None
        try:
            return equity(balances, self.quote, self.market.prices(midnight))
        except NotStored:
            return None

    def commitments(self, at: datetime) -> Commitments:
        """Return positions and unfilled orders as they are now, at the prices of `at`."""
        return self._commitments(self.market.prices(at))

    def _commitments(self, prices: Mapping[Pair, Decimal]) -> Commitments:
        return Commitments(
            quote=self.quote,
            balances=self.journal.balances(self.name),
            positions=tuple(self.journal.positions(self.name)),
            unsettled=tuple(self.journal.unsettled(self.name)),
            prices=prices,
            instruments=self.instruments,
            costs=self.market.costs,
        )

    def state(self, pair: Pair, commitments: Commitments, at: datetime) -> AccountState:
        """Return what risk must know of the account; values are counted in the account's quote asset."""
        now = self.snapshot(at)
        exposures, free = commitments.exposures(), commitments.free_balances(pair)
        peak = self.journal.peak(self.name)
        return AccountState(
            equity=float(now["equity"]),
            equity_peak=float(now["equity"] if peak is None else max(peak, now["equity"])),
            day_opening_equity=float(now["opening_equity"]),
            position_value=sum(each.value for each in exposures if each.pair == pair),
            base_exposure=exposure_to(pair.base, exposures),
            quote_exposure=0.0 if pair.quote == self.quote else exposure_to(pair.quote, exposures),
            exposure_value=sum(each.value for each in exposures),
            available_base=free.get(pair.base, Decimal(0)),
            available_quote=commitments.spendable_quote(pair, free),
            quote_rate=float(rate(pair.quote, self.quote, commitments.prices)),
            recent_orders=self.journal.intents_since(self.name, at - RATE_WINDOW),
            others=tuple(
                OtherPosition(each.pair.key, each.side, self.market.correlation(pair, each.pair, at))
                for each in exposures
                if each.pair != pair
            ),
            halts=active_halts(self.journal.halts(self.name), at),
        )

    def state_for_exit(self, pair: Pair, at: datetime) -> AccountState:
        """Return the balances that are free to close `pair` with; all else is NaN.

        Other pairs whose price cannot be read reserve nothing.
        """
        prices = self.market.readable_prices(at)
        commitments = self._commitments(prices)
        free = replace(
            commitments,
            positions=tuple(each for each in commitments.positions if each.pair in prices),
            unsettled=tuple(each for each in commitments.unsettled if each.pair in prices),
        ).free_balances(pair)
        return replace(
            _NOT_READ,
            available_base=free.get(pair.base, Decimal(0)),
            available_quote=commitments.spendable_quote(pair, free),
        )

    def oldest_price(self, pairs: Iterable[Pair], at: datetime) -> OldestPrice | None:
        """Return the pair of `pairs` whose last close by `at` is the oldest; None without a pair."""
        closes = [OldestPrice(pair, self.market.last_close_time(pair, at)) for pair in sorted(pairs)]
        return min(closes, key=lambda price: price.close_time, default=None)
