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
from trading.errors import NotStored, VenueUnreachable
from trading.market import Pair
from trading.orders import Fill
from trading.portfolio import Position, equity, priced, rate
from trading.portfolio.exact import exactly
from trading.ports import AccountBooks, Adjustment, Journal, VenueBooks
from trading.risk import AccountState, LivePermit, OtherPosition
from trading.risk.halts import active_halts

RESOLUTION = timedelta(microseconds=1)  # times are counted in microseconds
OPENING_WINDOW = timedelta(hours=1)  # whose entries are looked at when an account opens
OPENING_READS = 5
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


def no_permit(_: Pair) -> None:
    """Return the permit where real money is not asked for: none is needed."""


def no_models() -> float | None:
    """Return what language models cost where nobody counts it."""
    return None


@dataclass(frozen=True, slots=True)
class AccountReader:
    """One account in the journal, valued at the market's last closes.

    `venue_books` reads the venue's own books since a time, for what a new account opens with; None: it opens with its
    configured capital.
    """

    account: Account
    journal: Journal
    market: MarketReader
    venue_books: Callable[[datetime], VenueBooks] | None = None
    permit: Callable[[Pair], LivePermit | None] = no_permit  # to open positions with real money
    model_usd: Callable[[], float | None] = no_models  # what language models cost this UTC day

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def quote(self) -> str:
        return self.account.quote

    @property
    def is_at_exchange(self) -> bool:
        return self.venue_books is not None

    def ensure_open(self, at: datetime) -> None:
        """Record the opening balances once: those of the venue, or the capital at the first decision's prices.

        An account that is open needs no price: one that cannot be read must not keep a position open.
        """
        try:
            self.journal.balances(self.name)
            return
        except NotStored:
            pass
        if self.venue_books is None:
            self.journal.open_account(self.name, opening_balances(self.account, self.market.prices(at)), at)
        else:
            books = still_books(self.venue_books, at - OPENING_WINDOW)
            entered = max((each.at for each in books.entries), default=at)
            self.journal.open_account(self.name, books.balances, max(at, entered))

    def books(self, at: datetime) -> AccountBooks:
        """Read the account at once. NotStored before it has opened."""
        return self.journal.books(self.name, at, at - RATE_WINDOW)

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

    def snapshot(
        self, at: datetime, valuation: Valuation | None = None, books: AccountBooks | None = None
    ) -> dict[str, Any]:
        """Value the account at `at`, with the day's opening and the peak so far."""
        valuation, books = valuation or self.valuation(at), books or self.books(at)
        balances = books.balances_then
        if not balances:
            raise NotStored(
                f"account {self.name} had not opened by {at:%Y-%m-%d %H:%M} UTC: choose a later day"
            )
        return snapshot(
            history=books.snapshots,
            at=at,
            balances=balances,
            quote=self.quote,
            prices=valuation.prices,
            midnight=self._midnight_equity(valuation, books),
            transfers=_transfers(books, at),
        )

    def results(self, at: datetime, valuation: Valuation | None = None) -> tuple[dict[str, Any], list[Fill]]:
        """Value the account at `at` as `snapshot` does, with what trading has gained and paid since it opened.

        Returns the fills of positions that led there too, oldest first.
        """
        valuation = valuation or self.valuation(at)
        snapshot, fills = self._consistent_snapshot(valuation)
        prices = valuation.prices
        opened_with = self._opening_value(self._opening(snapshot), prices)
        return with_results(snapshot, fills, prices, opened_with, snapshot["transfers"]), fills

    def _consistent_snapshot(self, valuation: Valuation) -> tuple[dict[str, Any], list[Fill]]:
        """Read the account and what was booked; when something is booked between the two reads, read both again."""
        while True:
            fills, adjustments = self._booked()
            snapshot = self.snapshot(valuation.at, valuation)
            if self._booked() == (fills, adjustments):
                return snapshot, [fill for fill in fills if fill.filled_at <= valuation.at]

    def _booked(self) -> tuple[list[Fill], list[Adjustment]]:
        return self.journal.fills(self.name, of_positions=True), self.journal.adjustments(self.name)

    def _opening(self, snapshot: Mapping[str, Any]) -> dict[str, Decimal]:
        """Return what the account opened with: its balances without all that was booked since."""
        fills = [each for each in self.journal.fills(self.name) if each.filled_at <= snapshot["at"]]
        opening = dict(portfolio_of(snapshot["balances"], fills).opening)
        with exactly():
            for each in self.journal.adjustments(self.name):
                if each.at <= snapshot["at"]:
                    opening[each.asset] = opening.get(each.asset, Decimal(0)) - each.amount
        return opening

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

    def _midnight_equity(self, valuation: Valuation, books: AccountBooks) -> Decimal | None:
        """Equity with which the UTC day began, before any fill; None without the account or a price."""
        if not books.balances_before_day or not valuation.midnight:
            return None
        # What has no price of midnight, such as a pair that is not traded any more, counts at its last one.
        equity = self._value(books.balances_before_day, {**valuation.prices, **valuation.midnight})
        before_day = _midnight(valuation.at) - RESOLUTION
        return equity + _transfers(books, valuation.at) - _transfers(books, before_day)

    def _value(self, balances: Mapping[str, Decimal], prices: Mapping[Pair, Decimal]) -> Decimal:
        return equity(priced(balances, self.quote, prices)[0], self.quote, prices)

    def left_out(self, valuation: Valuation, books: AccountBooks | None = None) -> dict[str, Decimal]:
        """Return the balances that no pair prices: they are no part of the equity."""
        pairs = valuation.traded.union(valuation.prices)
        balances = books.balances if books else self.journal.balances(self.name)
        return priced(balances, self.quote, pairs)[1]

    def worth(self, asset: str, amount: Decimal, at: datetime) -> Decimal | None:
        """Return the value of an amount at the last closes known at `at`; None where no pair prices it then."""
        closes = self.market.readable_closes(self.market.universe.pairs, at)
        try:
            return equity({asset: amount}, self.quote, {pair: each.price for pair, each in closes.items()})
        except NotStored:
            return None

    def notes(self, at: datetime) -> list[str]:
        """Describe what is held in pairs that are not traded any more, and what no pair prices."""
        valuation = self.readable_valuation(at)
        unpriced = (
            f"{amount:f} {asset} is left out of the equity: no pair prices it"
            for asset, amount in self.left_out(valuation).items()
        )
        return [*valuation.notes(), *unpriced]

    def commitments(self, valuation: Valuation, books: AccountBooks | None = None) -> Commitments:
        """Return positions and working orders as they are now, at the valuation's prices."""
        books = books or self.books(valuation.at)
        return Commitments(
            quote=self.quote,
            balances=books.balances,
            positions=books.positions,
            working=books.working,
            prices=valuation.covering(books.positions).prices,
            costs=self.market.costs,
        )

    def state(
        self,
        pair: Pair,
        books: AccountBooks,
        valuation: Valuation,
        correlations: Mapping[Pair, float | None],
    ) -> AccountState:
        """Return what risk must know of the account; values are counted in the account's quote asset."""
        commitments = self.commitments(valuation, books)
        now = self.snapshot(valuation.at, valuation.covering(books.positions), books)
        exposures, free = commitments.exposures(), commitments.free_balances(pair)
        peak = books.peak
        return AccountState(
            equity=float(now["equity"]),
            equity_peak=float(now["equity"] if peak is None else max(peak, now["equity"])),
            day_opening_equity=float(now["opening_equity"]),
            position_value=sum((each.value for each in exposures if each.pair == pair), 0.0),
            base_exposure=exposure_to(pair.base, exposures),
            quote_exposure=0.0 if pair.quote == self.quote else exposure_to(pair.quote, exposures),
            exposure_value=sum((each.value for each in exposures), 0.0),
            available_base=free.get(pair.base, Decimal(0)),
            available_quote=commitments.spendable_quote(pair, free),
            quote_rate=float(rate(pair.quote, self.quote, commitments.prices)),
            recent_orders=books.recent_orders,
            others=tuple(
                OtherPosition(each.pair.key, each.side, correlations.get(each.pair))
                for each in exposures
                if each.pair != pair
            ),
            halts=active_halts(books.halts, valuation.at),
            permit=self.permit(pair),
            model_usd=self.model_usd(),
        )

    def state_for_exit(self, pair: Pair, books: AccountBooks, valuation: Valuation) -> AccountState:
        """Return the balances that are free to close `pair` with, and the halts; all else is NaN.

        Other pairs whose price cannot be read reserve nothing.
        """
        known, commitments = valuation.closes, self.commitments(valuation, books)
        free = replace(
            commitments,
            positions=tuple(each for each in commitments.positions if each.pair in known),
            working=tuple(each for each in commitments.working if each.intent.pair in known),
        ).free_balances(pair)
        return replace(
            _NOT_READ,
            available_base=free.get(pair.base, Decimal(0)),
            available_quote=commitments.spendable_quote(pair, free),
            halts=active_halts(books.halts, valuation.at),
        )


def still_books(read: Callable[[datetime], VenueBooks], since: datetime) -> VenueBooks:
    """Read the books until nothing moves between two reads: then every entry is in the balances, and no more.

    VenueUnreachable where they never stand still.
    """
    books = read(since)
    for _ in range(OPENING_READS):
        before, books = books, read(since)
        if {each.reference for each in before.entries} == {each.reference for each in books.entries}:
            return books
    raise VenueUnreachable(
        "balances change all the time while the account is opened: stop whatever else trades with its key"
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


def _transfers(books: AccountBooks, at: datetime) -> Decimal:
    """Return the value of what was paid in, less what was taken out, each at its moment's prices."""
    known = (each.value for each in books.adjustments if each.at <= at)
    with exactly():
        return sum((value for value in known if value is not None), Decimal(0))
