"""The venue of a running system: its name is the account's, and orders go over the WebSocket while that is there."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration.services import _tell_of_rest
from orchestration.settings import load_settings
from orchestration.venues import exchange_access
from tests.contracts.venues import Clerk, closing
from tests.doubles.stores import MemoryKeyState
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BTC
from trading.orders import OrderStatus


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Sandbox]:
    with sandbox(tmp_path / "sandbox") as running:
        yield running


def test_orders_go_over_the_websocket_and_over_rest_where_it_does_not_answer(
    exchange: Sandbox, tmp_path: Path
) -> None:
    before = set(threading.enumerate())  # of services that other tests have left in this process
    settings = load_settings(
        {
            "MARKETLOOM_HOME": str(tmp_path),
            "MARKETLOOM__VENUE__MODE": "sandbox",
            "MARKETLOOM__MARKET__SOURCE": "sandbox",
            "MARKETLOOM__SANDBOX__PORT": exchange.url.rpartition(":")[2],
        }
    )
    access = exchange_access("sandbox", settings, tmp_path)
    told = list[str]()
    venues = [access.orders(MemoryKeyState(), told.append)]
    clerk = Clerk(lambda: venues[0])
    assert venues[0].name == access.account
    level = (exchange.last(BTC) / 2).quantize(Decimal("0.1"))
    exchange.arm("disconnect", method="AddOrder")  # over REST
    first = clerk.placed(closing(trigger=level))
    exchange.disarm()
    exchange.arm("token_expiry", method="add_order")  # over the WebSocket
    before_rest = len(told)
    second = clerk.placed(closing(trigger=level))
    assert len(told) == before_rest + 1
    assert first.order.status is second.order.status is OrderStatus.ACKNOWLEDGED
    assert len(exchange.export()["orders"]) == 2
    started = set(threading.enumerate()) - before
    threads = [each for each in started if each.name == "kraken-websocket"]
    venues.clear()
    for each in threads:
        each.join(30)
    assert not any(each.is_alive() for each in threads)


def test_an_order_that_went_over_rest_fails_nothing_where_nobody_can_be_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _tell_of_rest("postgresql://nobody@127.0.0.1:1/nothing", "kraken-12345678", "its token has expired")
    assert "orders go over REST, which takes longer: its token has expired" in caplog.text
