"""What can be asked of the trading engine over WebSocket v2, as values."""

from dataclasses import dataclass
from datetime import datetime

from streaming.sandbox.model import Amendment, NewOrder
from streaming.sandbox.references import Reference
from trading.market import Pair


@dataclass(frozen=True, slots=True)
class AddOrder:
    """`margin` without `leverage`: the most that the pair allows."""

    token: str
    order: NewOrder
    margin: bool = False
    deadline: datetime | None = None
    validate: bool = False


@dataclass(frozen=True, slots=True)
class BatchAdd:
    token: str
    orders: tuple[AddOrder, ...]
    deadline: datetime | None
    validate: bool


@dataclass(frozen=True, slots=True)
class ChangeOrder:
    """amend_order and edit_order."""

    token: str
    wanted: Amendment
    deadline: datetime | None
    pair: Pair | None = None


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Every reference gets its own answer."""

    token: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class BatchCancel:
    token: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class CancelAll:
    token: str


@dataclass(frozen=True, slots=True)
class CancelAllAfter:
    token: str
    seconds: int


OrderRequest = AddOrder | BatchAdd | ChangeOrder | CancelOrder | BatchCancel | CancelAll | CancelAllAfter
