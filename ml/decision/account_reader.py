"""The account at a moment: balances, positions, working orders, halts, equity, and the day's opening.

What comes from the market is gathered first (`valuation`), so that the account need not stay locked meanwhile.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from ml.decision.commitments import Commitments, exposure_to
from ml.decision.inputs import OldestPrice
from ml.decision.market_reader import MarketReader
from ml.decision.valuation import LastClose, Valuation
from trading.account import Account, opening_balances, portfolio_of, snapshot, with_results
from trading.errors import NotStored
from trading.market import Pair
from trading.orders import Fill
from trading.portfolio import Position, equity, priced, rate
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

    def valuation(self, at: datetime) -> Valuation:
        """Gather the prices that value the account at `at`. Raises where one of a traded pair cannot be read."""
        closes = {pair: self.market.last_close(pair, at) for pair in self.market.universe.pairs}
        return self._valuation(at, closes, self._midnight_prices(at))

    def readable_valuation(self, at: datetime) -> Valuation:
        """Gather the prices that can be read; the other pairs are left out, and so is the day's opening."""
        return self._valuation(at, self.market.readable_closes(self.market.universe.pairs, at), {})

    def _valuation(
        self, at: datetime, closes: Mapping[Pair, LastClose], midnight: Mapping[Pair, Decimal]
    ) -> Valuation:
        """Add the pairs that are held and not traded any more, where a close of them is stored."""
        traded = frozenset(self.market.universe.pairs)
        positions = self.journal.positions(self.name)
        held = {each.pair for each in positions}
        held |= {each.intent.pair for each in self.journal.working_orders(self.name)}
        others = self.market.readable_closes(held - traded, at)
        found = Valuation(at, traded, {**closes, **others}, midnight, {})
        return found.covering(each for each in positions if each.pair not in traded)

    def _midnight_prices(self, at: datetime) -> dict[Pair, Decimal]:
        """Return the prices with which the UTC day began; empty where one is not known."""
        try:
            return self.market.prices(_midnight(at))
        except NotStored:
            return {}

    def snapshot(self, at: datetime, valuation: Valuation | None = None) -> dict[str, Any]:
        """Value the account at `at`, with the day's opening and the peak so far."""
        valuation = valuation or self.valuation(at)
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
            prices=valuation.prices,
            midnight=self._midnight_equity(valuation),
        )

    def results(self, at: datetime) -> tuple[dict[str, Any], list[Fill]]:
        """Value the account at `at` as `snapshot` does, with what trading has gained and paid since it opened.

        Returns the fills of positions that led there too, oldest first.
        """
        valuation = self.valuation(at)
        snapshot, fills = self._consistent_snapshot(valuation)
        prices = valuation.prices
        opened_with = self._opening_value(portfolio_of(snapshot["balances"], fills).opening, prices)
        return with_results(snapshot, fills, prices, opened_with), fills

    def _consistent_snapshot(self, valuation: Valuation) -> tuple[dict[str, Any], list[Fill]]:
        """Read the account and its fills; when an order fills between the two reads, read both again."""
        while True:
            fills = self.journal.fills(self.name, of_positions=True)
            snapshot = self.snapshot(valuation.at, valuation)
            if self.journal.fills(self.name, of_positions=True) == fills:
                return snapshot, [fill for fill in fills if fill.filled_at <= valuation.at]

    def _opening_value(self, opening: Mapping[str, Decimal], prices: Mapping[Pair, Decimal]) -> Decimal:
        """Return what the opening balances were worth when the account opened; at `prices` where none is known of then.

        The first snapshot that has it decides: candles that are corrected later do not move it.
        """
        for row in self.journal.snapshots(self.name):
            if "opened_with" in row:
                return Decimal(row["opened_with"])
        try:
            return self._value(opening, self.market.prices(self.journal.opened_at(self.name)))
        except NotStored:
            return self._value(opening, prices)

    def _midnight_equity(self, valuation: Valuation) -> Decimal | None:
        """Equity with which the UTC day began, before any fill; None without the account or a price."""
        balances = self.journal.balances(self.name, _midnight(valuation.at) - RESOLUTION)
        if not balances or not valuation.midnight:
            return None
        # What has no price of midnight, such as a pair that is not traded any more, counts at its last one.
        return self._value(balances, {**valuation.prices, **valuation.midnight})

    def _value(self, balances: Mapping[str, Decimal], prices: Mapping[Pair, Decimal]) -> Decimal:
        return equity(priced(balances, self.quote, prices)[0], self.quote, prices)

    def left_out(self, valuation: Valuation) -> dict[str, Decimal]:
        """Return the balances that no pair prices: they are no part of the equity."""
        pairs = valuation.traded.union(valuation.prices)
        return priced(self.journal.balances(self.name), self.quote, pairs)[1]

    def notes(self, at: datetime) -> list[str]:
        """Describe what is held in pairs that are not traded any more, and what no pair prices."""
        valuation = self.readable_valuation(at)
        unpriced = (
            f"{amount:f} {asset} is left out of the equity: no pair prices it"
            for asset, amount in self.left_out(valuation).items()
        )
        return [*valuation.notes(), *unpriced]

    def commitments(self, valuation: Valuation) -> Commitments:
        """Return positions and working orders as they are now, at the valuation's prices."""
        positions = tuple(self.journal.positions(self.name))
        return Commitments(
            quote=self.quote,
            balances=self.journal.balances(self.name),
            positions=positions,
            working=tuple(self.journal.working_orders(self.name)),
            prices=valuation.covering(positions).prices,
            costs=self.market.costs,
        )

    def state(
        self,
        pair: Pair,
        commitments: Commitments,
        valuation: Valuation,
        correlations: Mapping[Pair, float | None],
    ) -> AccountState:
        """Return what risk must know of the account; values are counted in the account's quote asset."""
        at = valuation.at
        now = self.snapshot(at, valuation.covering(commitments.positions))
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
                OtherPosition(each.pair.key, each.side, correlations.get(each.pair))
                for each in exposures
                if each.pair != pair
            ),
            halts=active_halts(self.journal.halts(self.name), at),
        )

    def state_for_exit(self, pair: Pair, commitments: Commitments, valuation: Valuation) -> AccountState:
        """Return the balances that are free to close `pair` with, and the halts; all else is NaN.

        Other pairs whose price cannot be read reserve nothing.
        """
        known = valuation.closes
        free = replace(
            commitments,
            positions=tuple(each for each in commitments.positions if each.pair in known),
            working=tuple(each for each in commitments.working if each.intent.pair in known),
        ).free_balances(pair)
        return replace(
            _NOT_READ,
            available_base=free.get(pair.base, Decimal(0)),
            available_quote=commitments.spendable_quote(pair, free),
            halts=active_halts(self.journal.halts(self.name), valuation.at),
        )


def oldest_price(pairs: Iterable[Pair], valuation: Valuation) -> OldestPrice | None:
    """Return the traded pair of `pairs` whose last close is the oldest; None without one.

    A pair that is held and not traded any more gets no candles: it is named (`Valuation.notes`) and stops nobody.
    """
    closes = [
        OldestPrice(pair, valuation.closes[pair].close_time) for pair in sorted({*pairs} & valuation.traded)
    ]
    return min(closes, key=lambda price: price.close_time, default=None)


def _midnight(at: datetime) -> datetime:
    return datetime.combine(at.astimezone(UTC).date(), time(), UTC)
