"""Compares an account's ledger with the venue's books: what explains itself, and what nobody knows the cause of."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from trading.orders import Fill, WorkingOrder
from trading.portfolio import cash_flows
from trading.portfolio.exact import exactly, trim_zeros
from trading.ports import Adjustment, BookEntry, VenueBooks, VenueOrder

TRADE = "trade"
ROUNDING = "rounding of fill"  # the cause of an adjustment begins so
# Kinds of entries that need no order of ours, in Kraken's words (docs.kraken.com, Get Ledgers Info).
EXPLAINED = frozenset(
    {"deposit", "withdrawal", "transfer", "staking", "reward", "earn", "dividend", "credit", "conversion"}
)
ROUNDING_SHARE = Decimal("0.00001")  # venues keep fewer digits of some assets than a fill's price has
SMALLEST = Decimal("0.00000001")


class DifferenceKind(StrEnum):
    """What is not as the ledger has it."""

    BALANCE = "balance"
    FOREIGN_TRADE = "foreign trade"  # of an order that this ledger does not know
    FOREIGN_ORDER = "foreign order"  # open at the venue, and not of this ledger
    UNKNOWN_ENTRY = "unknown entry"  # of a kind that may mean anything
    MISSING_ORDER = "missing order"  # the ledger has it at the venue, the venue does not show it


@dataclass(frozen=True, slots=True)
class Difference:
    """Something at the venue that the ledger cannot explain."""

    kind: DifferenceKind
    subject: str  # an asset, or the venue's id of an order or entry
    note: str


@dataclass(frozen=True, slots=True)
class LedgerView:
    """One account as the ledger has it at one moment."""

    account: str
    opened_at: datetime  # what is entered until then is in the balances that the account opened with
    balances: Mapping[str, Decimal]
    fills: Mapping[str, Fill]  # by fill id
    references: frozenset[str]  # of the adjustments that are booked
    working: tuple[WorkingOrder, ...]
    order_ids: frozenset[str]  # the venue's ids of all its orders that the books name, final ones too


@dataclass(frozen=True, slots=True)
class Comparison:
    """What to book, what to ask the venue about, and what nobody can explain."""

    adjustments: tuple[Adjustment, ...]
    unbooked_orders: tuple[str, ...]  # the venue's ids of orders of ours with fills that are not booked yet
    differences: tuple[Difference, ...]


def compare(ledger: LedgerView, books: VenueBooks) -> Comparison:
    """Compare them. Balances are judged only where no fill of an order of ours is missing: booking it comes first."""
    new = _new_entries(ledger, books)
    adjustments = tuple(_adjustments(ledger, new))
    unbooked = tuple(dict.fromkeys(entry.venue_order_id for entry in new if _is_unbooked(entry, ledger)))
    differences = [*_strange_entries(ledger, new), *_foreign_orders(ledger, books.open_orders)]
    if not unbooked:
        differences += _balance_differences(ledger, adjustments, books, _strange_amounts(ledger, new))
    return Comparison(adjustments, unbooked, tuple(differences))


def adopt(ledger: LedgerView, books: VenueBooks, cause: str, at: datetime) -> list[Adjustment]:
    """Return what makes the ledger's balances those of the venue at `at`, the account's clock: a person says so."""
    comparison = compare(ledger, books)
    balances = _after(ledger.balances, comparison.adjustments)
    entries = [
        Adjustment(ledger.account, each.reference, each.asset, each.amount, cause, each.at)
        for each in _new_entries(ledger, books)
        if _is_strange(each, ledger)
    ]
    balances = _after(balances, entries)
    rest = [
        Adjustment(ledger.account, f"adopted {asset} {at.isoformat()}", asset, amount, cause, at)
        for asset, amount in _gaps(balances, books.balances)
    ]
    return [*comparison.adjustments, *entries, *rest]


def _new_entries(ledger: LedgerView, books: VenueBooks) -> list[BookEntry]:
    """List what the ledger may lack: neither an adjustment of it, nor part of what the account opened with."""
    return [
        entry
        for entry in books.entries
        if entry.reference not in ledger.references
        and (entry.at > ledger.opened_at or entry.venue_order_id in ledger.order_ids)
    ]


def _adjustments(ledger: LedgerView, entries: Iterable[BookEntry]) -> Iterator[Adjustment]:
    """Book what needs no order of ours, and the digits by which the venue rounds a fill otherwise than we do."""
    for entry in entries:
        if entry.kind in EXPLAINED:
            yield Adjustment(ledger.account, entry.reference, entry.asset, entry.amount, entry.kind, entry.at)
        elif rounding := _rounding(ledger, entry):
            cause = f"{ROUNDING} {entry.fill_id}"
            yield Adjustment(ledger.account, entry.reference, entry.asset, rounding, cause, entry.at)


def _rounding(ledger: LedgerView, entry: BookEntry) -> Decimal:
    """Return by how little the venue's amount of a known fill differs from ours; 0 where it does not, or by more."""
    fill = ledger.fills.get(entry.fill_id)
    if fill is None:
        return Decimal(0)
    with exactly():
        ours = cash_flows(fill).get(entry.asset, Decimal(0))
        difference = entry.amount - ours
    return difference if abs(difference) <= max(abs(ours) * ROUNDING_SHARE, SMALLEST) else Decimal(0)


def _is_unbooked(entry: BookEntry, ledger: LedgerView) -> bool:
    ours = entry.venue_order_id in ledger.order_ids
    return entry.kind == TRADE and ours and entry.fill_id not in ledger.fills


def _is_strange(entry: BookEntry, ledger: LedgerView) -> bool:
    if entry.kind == TRADE:
        return entry.fill_id not in ledger.fills and not _is_unbooked(entry, ledger)
    return entry.kind not in EXPLAINED


def _strange_entries(ledger: LedgerView, entries: Iterable[BookEntry]) -> Iterator[Difference]:
    for entry in entries:
        if not _is_strange(entry, ledger):
            continue
        amount = f"{entry.amount:f} {entry.asset} at {entry.at:%Y-%m-%d %H:%M:%S} UTC"
        if entry.kind == TRADE:
            note = f"{amount}, of order {entry.venue_order_id or 'unknown'} that is not of this ledger"
            yield Difference(DifferenceKind.FOREIGN_TRADE, entry.fill_id or entry.reference, note)
        else:
            note = f"{amount}, of the kind {entry.kind!r}"
            yield Difference(DifferenceKind.UNKNOWN_ENTRY, entry.reference, note)


def _strange_amounts(ledger: LedgerView, entries: Iterable[BookEntry]) -> list[tuple[str, Decimal]]:
    return [(each.asset, each.amount) for each in entries if _is_strange(each, ledger)]


def _foreign_orders(ledger: LedgerView, orders: Iterable[VenueOrder]) -> Iterator[Difference]:
    """Name open orders that nobody here asked for; a stop that a fill of ours placed is ours."""
    clients = {each.intent.client_order_id for each in ledger.working}
    for order in orders:
        ours = {order.venue_order_id, order.parent_id} & ledger.order_ids or order.client_order_id in clients
        if not ours:
            note = f"{order.side} {order.quantity:f} {order.pair}, placed at {order.at:%Y-%m-%d %H:%M:%S} UTC"
            yield Difference(DifferenceKind.FOREIGN_ORDER, order.venue_order_id, note)


def _balance_differences(
    ledger: LedgerView,
    adjustments: Iterable[Adjustment],
    books: VenueBooks,
    strange: Iterable[tuple[str, Decimal]],
) -> list[Difference]:
    """Name the balances that differ by more than the entries which are named already."""
    balances = _after(ledger.balances, adjustments)
    for asset, amount in strange:
        balances[asset] = balances.get(asset, Decimal(0)) + amount
    return [
        Difference(
            DifferenceKind.BALANCE,
            asset,
            f"the venue has {_plain(books.balances.get(asset))} {asset}, the ledger {_plain(balances.get(asset))}",
        )
        for asset, gap in _gaps(balances, books.balances)
        if abs(gap) > SMALLEST
    ]


def _plain(amount: Decimal | None) -> str:
    return f"{trim_zeros(amount or Decimal(0)):f}"


def _after(balances: Mapping[str, Decimal], adjustments: Iterable[Adjustment]) -> dict[str, Decimal]:
    after = dict(balances)
    with exactly():
        for each in adjustments:
            after[each.asset] = after.get(each.asset, Decimal(0)) + each.amount
    return after


def _gaps(ours: Mapping[str, Decimal], theirs: Mapping[str, Decimal]) -> list[tuple[str, Decimal]]:
    """Return what the venue has more than we, per asset that differs at all."""
    with exactly():
        gaps = {
            asset: theirs.get(asset, Decimal(0)) - ours.get(asset, Decimal(0)) for asset in {*ours, *theirs}
        }
    return [(asset, gap) for asset, gap in sorted(gaps.items()) if gap]
