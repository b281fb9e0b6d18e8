"""An order pays its rate, takes its time, and is refused when it comes too late or the market is shut."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace

import pytest

from streaming.sandbox import order_gateway
from streaming.sandbox.faults import Fault, FaultKind, Faults
from streaming.sandbox.model import (
    Amendment,
    CloseOrder,
    ExchangeOrder,
    NewOrder,
    OrderState,
    OrderType,
    PriceTerm,
    Refused,
)
from streaming.sandbox.order_gateway import WEBSOCKET_WINDOW, OrderGateway
from streaming.sandbox.rates import STARTER, Rates
from streaming.sandbox.references import ALL_KINDS, TXID, Reference, ReferenceKind
from tests.doubles.clock import Clock
from trading.market import Pair
from trading.orders import Side

BTC = Pair("BTC", "USDT")
NOW = 1_700_000_000.0
LIMIT = NewOrder(BTC, Side.BUY, OrderType.LIMIT, Decimal("0.5"), limit=PriceTerm(Decimal(30000)))
pytestmark = pytest.mark.anyio


class Engine:
    """Accepts every order and records the calls."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls: list[tuple] = []
        self.open: list[ExchangeOrder] = []
        self.refusal = ""

    def add(self, account: str, order: NewOrder, validate: bool) -> ExchangeOrder:
        self.calls.append(("add", order, validate))
        if self.refusal:
            raise Refused(self.refusal)
        number = len(self.open)
        placed = ExchangeOrder(
            order_id=f"O00000-00000-{number:06d}",
            account=account,
            request=order,
            limit_price=None,
            trigger_price=None,
            state=OrderState.OPEN,
            reason="",
            triggered=False,
            opened_at=datetime(2023, 11, 18, tzinfo=UTC),
            closed_at=None,
            entered=self.clock(),
        )
        self.open.append(placed)
        return placed

    def open_orders(self, account: str) -> list[ExchangeOrder]:
        return [order for order in self.open if order.account == account]

    def amend(self, account: str, amendment: Amendment) -> ExchangeOrder:
        self.calls.append(("amend", amendment))
        return self.open[0]

    def edit(self, account: str, amendment: Amendment) -> ExchangeOrder:
        self.calls.append(("edit", amendment))
        return self.open[0]

    def cancel(self, account: str, reference: str, kinds: tuple[ReferenceKind, ...]) -> list[ExchangeOrder]:
        self.calls.append(("cancel", reference))
        return []

    def cancel_all(self, account: str) -> int:
        self.calls.append(("cancel_all",))
        return len(self.open)

    def cancel_all_after(self, account: str, seconds: float) -> float | None:
        self.calls.append(("cancel_all_after", seconds))
        return self.clock() + seconds if seconds else None


class Bench:
    """A gateway whose latency passes on the clock alone: no test waits for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock(NOW)
        self.engine = Engine(self.clock)
        self.faults = Faults(self.clock)
        self.rates = Rates(STARTER, self.clock)
        self.latency = 0.0
        self.gateway = OrderGateway(self.engine, self.rates, self.faults, lambda: self.latency, self.clock)  # type: ignore[arg-type]
        monkeypatch.setattr(order_gateway, "asyncio", SimpleNamespace(sleep=self._pass, Event=asyncio.Event))

    async def _pass(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    async def add(self, order: NewOrder = LIMIT, **details) -> ExchangeOrder:
        return await self.gateway.add("ann", order, **details)

    async def cancel(self, reference: str, *kinds: ReferenceKind) -> list[ExchangeOrder]:
        return await self.gateway.cancel("ann", Reference(reference, kinds or ALL_KINDS))

    def count(self, account: str = "ann") -> float:
        return self.rates.counter(account, BTC)

    def deadline(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(self.clock() + seconds, UTC)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


async def test_an_order_reaches_the_engine_after_its_latency(bench: Bench) -> None:
    bench.latency = 0.25
    order = await bench.add(validate=True)
    assert bench.engine.calls == [("add", LIMIT, True)]
    assert order.entered == NOW + 0.25


async def test_a_deadline_that_passes_on_the_way_keeps_the_order_out(bench: Bench) -> None:
    bench.latency = 3
    with pytest.raises(Refused, match="EService:Deadline elapsed"):
        await bench.add(deadline=bench.deadline(2.5))
    assert bench.engine.calls == []
    await bench.add(deadline=bench.deadline(3.5))
    assert len(bench.engine.calls) == 1


@pytest.mark.parametrize("seconds", [-1, 0, 1.9, 60.1, 3600])
async def test_a_deadline_too_near_or_too_far_is_refused(bench: Bench, seconds: float) -> None:
    with pytest.raises(Refused, match="EGeneral:Invalid arguments:deadline"):
        await bench.add(deadline=bench.deadline(seconds))
    assert bench.engine.calls == []


async def test_the_stream_may_set_a_nearer_deadline(bench: Bench) -> None:
    await bench.add(deadline=bench.deadline(0.6), window=WEBSOCKET_WINDOW)
    assert len(bench.engine.calls) == 1


async def test_an_order_that_the_engine_refuses_was_counted(bench: Bench) -> None:
    bench.engine.refusal = "EOrder:Insufficient funds"
    with pytest.raises(Refused, match="EOrder:Insufficient funds"):
        await bench.add()
    assert bench.count() == 1


async def test_beyond_the_limit_nothing_reaches_the_engine(bench: Bench) -> None:
    for _ in range(60):
        await bench.add()
    with pytest.raises(Refused, match="EOrder:Rate limit exceeded"):
        await bench.add()
    assert len(bench.engine.calls) == 60


async def test_a_cancel_pays_by_the_age_of_the_order(bench: Bench) -> None:
    order = await bench.add()
    bench.clock.now += 12
    before = bench.count()
    await bench.cancel(order.order_id)
    assert bench.count() - before == 5


@pytest.mark.parametrize("reference", ["O00000-00000-000000", "mine", "77"])
async def test_a_cancel_is_counted_by_any_id_of_the_order(bench: Bench, reference: str) -> None:
    await bench.add(replace(LIMIT, client_order_id="mine", user_reference=77))
    before = bench.count()
    await bench.cancel(reference)
    assert bench.count() - before == 8
    assert bench.engine.calls[-1] == ("cancel", reference)


async def test_another_accounts_order_is_not_counted(bench: Bench) -> None:
    order = await bench.add()
    await bench.gateway.cancel("bob", Reference(order.order_id))
    assert bench.count("bob") == 0


@pytest.mark.parametrize(("call", "cost"), [("amend", 4), ("edit", 7)])
async def test_a_change_is_charged_and_passed_on_whole(bench: Bench, call: str, cost: int) -> None:
    order = await bench.add()
    before = bench.count()
    price = PriceTerm(Decimal(31000))
    amendment = Amendment(order_id=order.order_id, limit=price)
    await getattr(bench.gateway, call)("ann", amendment)
    assert bench.count() - before == cost
    assert bench.engine.calls[-1] == (call, amendment)


async def test_an_amend_finds_its_order_by_the_clients_own_id(bench: Bench) -> None:
    await bench.add(replace(LIMIT, client_order_id="mine"))
    await bench.gateway.amend("ann", Amendment(client_order_id="mine", quantity=Decimal(1)))
    assert bench.engine.calls[-1][1].client_order_id == "mine"


async def test_an_amend_that_ends_its_order_costs_a_cancel_besides(bench: Bench) -> None:
    order = await bench.add()
    ended = replace(order, state=OrderState.CANCELED)
    bench.engine.amend = lambda account, amendment: ended  # type: ignore[method-assign]
    before = bench.count()
    await bench.gateway.amend("ann", Amendment(order_id=order.order_id, quantity=Decimal("0.1")))
    assert bench.count() - before == (1 + 3) + 8


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"triggered": True}, "EOrder:Order not editable"),
        ({"request": replace(LIMIT, client_order_id="mine")}, "EOrder:Order not editable"),
        (
            {"request": replace(LIMIT, close=CloseOrder(OrderType.LIMIT, LIMIT.limit, None))},
            "EOrder:Order not editable",
        ),
        ({"filled": Decimal("0.3")}, "EOrder:Not enough leaves qty"),
    ],
)
async def test_a_change_that_an_edit_does_not_support_is_accepted_by_an_amend(
    bench: Bench, changes: dict, error: str
) -> None:
    order = await bench.add()
    bench.engine.open = [replace(order, **changes)]
    amendment = Amendment(order_id=order.order_id, quantity=Decimal("0.2"))
    with pytest.raises(Refused, match=error):
        await bench.gateway.edit("ann", amendment)
    await bench.gateway.amend("ann", amendment)
    assert [call[0] for call in bench.engine.calls] == ["add", "amend"]


@pytest.mark.parametrize(
    ("kinds", "counted"),
    [
        ((ReferenceKind.ORDER_ID,), 0),
        ((ReferenceKind.CLIENT_ORDER_ID,), 8),
        ((ReferenceKind.USER_REFERENCE,), 16),
        (TXID, 16),
    ],
)
async def test_an_id_is_only_looked_up_among_ids_of_its_kind(
    bench: Bench, kinds: tuple[ReferenceKind, ...], counted: int
) -> None:
    for order in (replace(LIMIT, client_order_id="42"), *[replace(LIMIT, user_reference=42)] * 2):
        await bench.add(order)
    before = bench.count()
    await bench.cancel("42", *kinds)
    assert bench.count() - before == counted


async def test_an_order_that_is_not_open_cannot_be_changed(bench: Bench) -> None:
    for amendment in (Amendment(order_id="O00000-00000-000009"), Amendment()):
        with pytest.raises(Refused, match="EOrder:Unknown order"):
            await bench.gateway.amend("ann", amendment)
    assert bench.engine.calls == []


async def test_a_late_amendment_is_refused(bench: Bench) -> None:
    order = await bench.add()
    bench.latency = 5
    late = Amendment(order_id=order.order_id)
    with pytest.raises(Refused, match="EService:Deadline elapsed"):
        await bench.gateway.amend("ann", late, bench.deadline(4))


async def test_in_cancel_only_mode_orders_can_only_be_cancelled(bench: Bench) -> None:
    order = await bench.add()
    bench.faults.arm(Fault(FaultKind.CANCEL_ONLY))
    with pytest.raises(Refused, match="EService:Market in cancel_only mode"):
        await bench.add()
    with pytest.raises(Refused, match="EService:Market in cancel_only mode"):
        await bench.gateway.amend("ann", Amendment(order_id=order.order_id))
    await bench.cancel(order.order_id)
    assert bench.engine.calls[-1] == ("cancel", order.order_id)


async def test_in_post_only_mode_orders_have_to_be_post_only(bench: Bench) -> None:
    bench.faults.arm(Fault(FaultKind.POST_ONLY))
    with pytest.raises(Refused, match="EService:Market in post_only mode"):
        await bench.add()
    await bench.add(replace(LIMIT, post_only=True))
    assert len(bench.engine.calls) == 1


async def test_a_fault_of_one_pair_leaves_the_others_alone(bench: Bench) -> None:
    bench.faults.arm(Fault(FaultKind.CANCEL_ONLY, symbol="XRP/USDT"))
    await bench.add()
    assert len(bench.engine.calls) == 1


async def test_during_maintenance_every_request_is_refused(bench: Bench) -> None:
    bench.faults.arm(Fault(FaultKind.MAINTENANCE))
    calls = (
        bench.gateway.add("ann", LIMIT),
        bench.gateway.cancel("ann", Reference("x")),
        bench.gateway.cancel_all("ann"),
        bench.gateway.cancel_all_after("ann", 60),
    )
    for call in calls:
        with pytest.raises(Refused, match="EService:Unavailable"):
            await call
    assert bench.engine.calls == []


async def test_the_status_when_the_order_arrives_decides(bench: Bench) -> None:
    bench.faults.arm(Fault(FaultKind.CANCEL_ONLY, after=1))
    bench.latency = 2
    with pytest.raises(Refused, match="EService:Market in cancel_only mode"):
        await bench.add()


async def test_one_refused_order_does_not_stop_the_rest_of_its_batch(bench: Bench) -> None:
    bench.faults.arm(Fault(FaultKind.POST_ONLY))
    batch = [LIMIT, replace(LIMIT, post_only=True)]
    first, second = await bench.gateway.add_batch("ann", batch)
    assert isinstance(first, Refused)
    assert isinstance(second, ExchangeOrder)
    assert bench.count() == 1


async def test_the_dead_mans_switch_returns_when_it_will_trigger(bench: Bench) -> None:
    assert await bench.gateway.cancel_all_after("ann", 60) == NOW + 60
    assert await bench.gateway.cancel_all_after("ann", 0) is None


async def test_orders_of_equal_latency_arrive_as_they_were_sent() -> None:
    clock = Clock(NOW)
    engine = Engine(clock)
    gateway = OrderGateway(engine, Rates(STARTER, clock), Faults(clock), lambda: 0.001, clock)  # type: ignore[arg-type]
    orders = [replace(LIMIT, user_reference=number) for number in range(1, 30)]

    await asyncio.gather(*(gateway.add("ann", order) for order in orders))
    assert [order.request.user_reference for order in engine.open] == list(range(1, 30))


async def test_a_deadline_in_another_time_zone_is_the_same_moment(bench: Bench) -> None:
    deadline = bench.deadline(30).astimezone(timezone(timedelta(hours=5)))
    await bench.add(deadline=deadline)
    assert len(bench.engine.calls) == 1
