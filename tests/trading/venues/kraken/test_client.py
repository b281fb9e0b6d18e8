import base64
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.doubles.kraken import (
    CREDENTIALS,
    HTML,
    KEY,
    SECRET,
    KrakenDouble,
    answering,
    dribbled_after,
    html_520_after,
    html_520_before,
    lost_after,
    lost_before,
    running,
    saying,
    truncated_after,
    wrong_type_after,
)
from tests.doubles.stores import MemoryKeyState
from trading.errors import (
    OFFLINE_ADVICE,
    InvalidMessage,
    InvalidSettings,
    InvalidValue,
    MarketloomError,
    NotAuthorised,
    NotStored,
    OutcomeUnknown,
    RateLimited,
    VenueRefused,
    VenueUnreachable,
)
from trading.market import Pair, Timeframe
from trading.orders import Side
from trading.venues.kraken import Allowance, Credentials, KrakenClient, RateLimit
from trading.venues.kraken.order_request import KrakenOrderType, OrderRequest
from trading.venues.kraken.rest_calls import MAX_NONCES
from trading.venues.kraken.transport import BoundedTransport

BTC = Pair("BTC", "USDT")
GENEROUS = Allowance(RateLimit(1000, 100), RateLimit(1000, 100))
OPEN = RateLimit(1000, 100)
ORDER = OrderRequest(BTC, Side.BUY, Decimal("0.01"))
LOST = [lost_after, lost_before, html_520_after, html_520_before, truncated_after]
PROGRAM = """
import sys
from pathlib import Path
from trading.stores.postgres import PostgresKeyState
from trading.venues.kraken import Allowance, Credentials, KrakenClient, RateLimit
folder, url, key, secret, dsn = sys.argv[1:]
allowance = Allowance(RateLimit(1000, 100), RateLimit(1000, 100))
keys = PostgresKeyState(dsn)
with KrakenClient(Path(folder), Credentials(key, secret), url, allowance, RateLimit(1000, 100), keys=keys) as client:
    for _ in range(40):
        client.websockets_token()
print("done")
"""


def client_of(
    folder: Path, url: str, credentials: Credentials | None = CREDENTIALS, **changes: Any
) -> KrakenClient:
    values: dict[str, Any] = {
        "allowance": GENEROUS, "public": OPEN, "total": 5.0, "sleep": lambda seconds: None,
        "keys": MemoryKeyState(), **changes,
    }  # fmt: skip
    return KrakenClient(folder, credentials, url, **values)


@pytest.fixture
def double() -> Iterator[KrakenDouble]:
    with running(KrakenDouble()) as kraken:
        yield kraken


@pytest.fixture
def client(double: KrakenDouble, tmp_path: Path) -> Iterator[KrakenClient]:
    with client_of(tmp_path, double.url) as kraken:
        yield kraken


# --- what is asked and answered


def test_a_signed_call_is_understood(client: KrakenClient) -> None:
    assert client.websockets_token().token == "a-token"


def test_balances_have_our_names(client: KrakenClient) -> None:
    assert client.balance() == {"USDT": Decimal(10000), "BTC": Decimal("0.5"), "BTC.F": Decimal("0.1")}


def test_all_fields_of_an_order_are_sent_and_its_id_is_returned(
    client: KrakenClient, double: KrakenDouble
) -> None:
    added = client.add_order(ORDER)
    assert list(double.orders) == added.txid
    method, fields = double.calls[-1]
    assert (method, fields["pair"], fields["volume"]) == ("AddOrder", "XBTUSDT", "0.01")


def test_an_order_that_is_only_checked_is_not_placed(client: KrakenClient, double: KrakenDouble) -> None:
    assert client.add_order(OrderRequest(BTC, Side.BUY, Decimal("0.01"), validate=True)).txid == []
    assert double.orders == {}


def test_pairs_that_are_not_traded_are_asked_for_nowhere(client: KrakenClient, double: KrakenDouble) -> None:
    with pytest.raises(NotStored, match="ETH/USDT"):
        client.ticker(Pair("ETH", "USDT"))
    assert double.methods() == ["AssetPairs"]


def test_the_listing_is_asked_again_only_when_it_is_old(double: KrakenDouble, tmp_path: Path) -> None:
    now = [0.0]
    with client_of(tmp_path, double.url, monotonic=lambda: now[0]) as client:
        client.listings()
        client.listings()
        now[0] = 601.0
        client.listings()
    assert double.methods() == ["AssetPairs", "AssetPairs"]


def test_a_page_of_trades_knows_how_to_go_on(client: KrakenClient, double: KrakenDouble) -> None:
    double.tape = [[Decimal("1.5"), Decimal("0.25"), 1_700_000_000_000_000_001 + each] for each in range(5)]
    page = client.trades(BTC, 1_700_000_000_000_000_002)
    assert [row.trade_id for row in page.rows] == [3, 4, 5]
    assert page.last == 1_700_000_000_000_000_005


def test_a_response_about_another_pair_is_refused(client: KrakenClient, double: KrakenDouble) -> None:
    double.faults["OHLC"] = [answering(b'{"error":[],"result":{"XETHZUSD":[],"last":1}}')]
    with pytest.raises(InvalidMessage, match="asked for BTC/USDT, the answer is about XETHZUSD"):
        client.ohlc(BTC, Timeframe.M1)


def test_an_order_is_named_in_one_way(client: KrakenClient) -> None:
    with pytest.raises(InvalidValue, match="one of them"):
        client.cancel_order(BTC)
    with pytest.raises(InvalidValue, match="one of them"):
        client.cancel_order(BTC, "OABC", "my-order")


def test_canceling_an_unknown_order_raises_krakens_message(client: KrakenClient) -> None:
    with pytest.raises(VenueRefused, match="EOrder:Unknown order"):
        client.cancel_order(BTC, "OABC")


@pytest.mark.parametrize("seconds", [-1, 86400])
def test_the_dead_mans_switch_has_bounds(client: KrakenClient, seconds: int) -> None:
    with pytest.raises(InvalidValue, match="dead man"):
        client.cancel_all_orders_after(seconds)


# --- what goes wrong


@pytest.mark.parametrize("fault", LOST)
def test_a_read_that_was_lost_is_asked_again(client: KrakenClient, double: KrakenDouble, fault: Any) -> None:
    double.faults["Balance"] = [fault, fault]
    assert client.balance()["USDT"] == 10000
    assert double.methods().count("Balance") == 3


def test_a_read_that_stays_lost_ends_in_one_error(client: KrakenClient, double: KrakenDouble) -> None:
    double.faults["Time"] = [html_520_before] * 50
    with pytest.raises(VenueUnreachable, match=r"Time at http:\S+: HTTP 520 without a complete answer"):
        client.server_time()
    assert double.methods() == ["Time"] * 5


@pytest.mark.parametrize(
    "fault", [*LOST, wrong_type_after, saying("EService:Busy"), saying("EService:Unavailable")]
)
def test_an_order_whose_response_is_lost_is_sent_once_and_its_outcome_is_unknown(
    client: KrakenClient, double: KrakenDouble, fault: Any
) -> None:
    double.faults["AddOrder"] = [fault]
    with pytest.raises(OutcomeUnknown, match="AddOrder"):
        client.add_order(ORDER)
    assert double.methods().count("AddOrder") == 1


def test_a_response_that_comes_byte_by_byte_ends_at_the_time_limit(
    double: KrakenDouble, tmp_path: Path
) -> None:
    double.faults["AddOrder"] = [dribbled_after]
    double.faults["Balance"] = [dribbled_after] * 50
    with client_of(tmp_path, double.url, total=0.5) as client:
        with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
            client.add_order(ORDER)
        with pytest.raises(VenueUnreachable):
            client.balance()
    assert len(double.orders) == 1


def test_headers_that_come_byte_by_byte_end_in_time(tmp_path: Path) -> None:
    stopping = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_dribble_headers, args=(listener, stopping))
        thread.start()
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with (
                client_of(tmp_path, url, total=0.3) as client,
                pytest.raises(VenueUnreachable, match="ReadTimeout"),
            ):
                client.server_time()
        finally:
            stopping.set()
            thread.join()


def _dribble_headers(listener: socket.socket, stopping: threading.Event) -> None:
    listener.settimeout(0.05)
    while not stopping.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        with connection:
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000:
                try:
                    connection.sendall(bytes([byte]))
                except OSError:
                    break
                if stopping.wait(0.05):
                    break


def test_a_response_above_the_size_limit_is_not_read_to_the_end(
    client: KrakenClient, double: KrakenDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading.venues.kraken.transport.MAX_RESPONSE_BYTES", 100)
    double.faults["Time"] = [answering(b"[" + b" " * 200 + b"]")] * 5
    with pytest.raises(VenueUnreachable, match="longer than 100 bytes"):
        client.server_time()


def test_a_refused_connection_means_that_nothing_was_changed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    told = re.escape(f"Kraken CancelAll at {url}: no connection")
    with client_of(tmp_path, url) as client, pytest.raises(VenueUnreachable, match=told):
        client.cancel_all()


@pytest.mark.parametrize(
    ("url", "told", "advice"),
    [
        ("https://api.kraken.com", "Kraken Time: no connection", OFFLINE_ADVICE),
        (
            "http://user:password@localhost:8750",
            "Kraken Time at http://localhost:8750: no connection",
            "is it running?",
        ),
    ],
)
def test_errors_name_another_address_than_krakens_without_its_password_and_what_to_do(
    tmp_path: Path, url: str, told: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(BoundedTransport, "handle_request", unreachable)
    with client_of(tmp_path, url) as client, pytest.raises(VenueUnreachable) as failed:
        client.server_time()
    assert str(failed.value) == f"{told} (refused); {advice}"


def test_a_wrong_type_in_a_read_is_no_reason_to_ask_again(client: KrakenClient, double: KrakenDouble) -> None:
    double.faults["Balance"] = [answering(b'{"error":[],"result":{"XXBT":{"amount":1}}}')]
    with pytest.raises(InvalidMessage, match="Balance"):
        client.balance()
    assert double.methods().count("Balance") == 1


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("EAPI:Invalid key", NotAuthorised), ("EGeneral:Permission denied", NotAuthorised),
        ("EAPI:Rate limit exceeded", RateLimited), ("EGeneral:Temporary lockout", RateLimited),
        ("EQuery:Unknown asset", VenueRefused),
    ],
)  # fmt: skip
def test_a_private_read_that_is_refused_is_not_repeated(
    client: KrakenClient, double: KrakenDouble, words: str, error: type[MarketloomError]
) -> None:
    double.faults["Balance"] = [saying(words)]
    with pytest.raises(error, match=words):
        client.balance()
    assert double.methods().count("Balance") == 1


def test_a_rate_limit_of_the_venue_fills_the_counter(double: KrakenDouble, tmp_path: Path) -> None:
    double.faults["Balance"] = [saying("EAPI:Rate limit exceeded")]
    allowance = Allowance(RateLimit(15, 0.33), RateLimit(60, 1))
    with client_of(tmp_path, double.url, allowance=allowance, patience=0) as client:
        with pytest.raises(RateLimited, match="EAPI"):
            client.balance()
        with pytest.raises(RateLimited, match=r"budget for private calls is spent: 21\.\d s"):
            client.balance()
    assert double.methods() == ["Balance"]


def test_too_many_public_calls_are_repeated_after_a_while(client: KrakenClient, double: KrakenDouble) -> None:
    double.faults["Time"] = [saying("EGeneral:Too many requests"), answering(HTML, 429)]
    assert client.server_time() > 0


def test_orders_and_cancels_are_counted_per_pair(double: KrakenDouble, tmp_path: Path) -> None:
    allowance = Allowance(RateLimit(100, 1), RateLimit(16.5, 0.01))  # 10 of them are for entries
    with client_of(tmp_path, double.url, allowance=allowance, patience=0) as client:
        resting = replace(ORDER, order_type=KrakenOrderType.STOP_LOSS, price=Decimal(9000))
        young, old = (client.add_order(resting).txid[0] for _ in range(2))
        client.cancel_order(BTC, young)  # 8, for its age is not told
        client.cancel_order(BTC, old, age=301)
        with pytest.raises(RateLimited, match="orders of XBTUSDT"):
            client.add_order(ORDER)


def test_a_refused_nonce_is_replaced_even_for_an_order(client: KrakenClient, double: KrakenDouble) -> None:
    double.faults["AddOrder"] = [saying("EAPI:Invalid nonce")] * 3
    assert len(client.add_order(ORDER).txid) == 1
    nonces = [int(fields["nonce"]) for method, fields in double.calls if method == "AddOrder"]
    assert nonces == sorted(set(nonces))
    assert len(nonces) == 4


def test_nonces_that_are_never_enough_end_in_one_error(client: KrakenClient, double: KrakenDouble) -> None:
    double.last_nonce = 2**63
    with pytest.raises(VenueUnreachable, match="another program uses this key"):
        client.balance()
    # No read is tried again for it: Kraken locks keys out.
    assert double.methods().count("Balance") == MAX_NONCES


def test_a_private_call_without_a_key_names_the_variables(double: KrakenDouble, tmp_path: Path) -> None:
    with client_of(tmp_path, double.url, credentials=None) as client:
        assert client.server_time() > 0
        with pytest.raises(NotAuthorised, match="KRAKEN_API_KEY and KRAKEN_API_SECRET"):
            client.balance()


def test_neither_key_nor_signature_is_in_an_error(client: KrakenClient, double: KrakenDouble) -> None:
    double.faults["Balance"] = [saying("EAPI:Invalid signature")]
    with pytest.raises(NotAuthorised) as caught:
        client.balance()
    assert KEY not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["", "no address", "ftp://127.0.0.1", "http://"])
def test_an_address_that_is_none_is_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidSettings, match="address of an exchange"):
        client_of(tmp_path, url)


def test_two_processes_with_two_homes_share_a_key(double: KrakenDouble, tmp_path: Path, dsn: str) -> None:
    homes = [str(tmp_path / name) for name in ("one", "other")]
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, home, double.url, KEY, SECRET, dsn],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for home in homes
    ]  # fmt: skip
    said = [program.communicate(timeout=120) for program in programs]
    assert [output for output, _ in said] == ["done\n", "done\n"], said
    answered = [fields["nonce"] for method, fields in double.calls if method == "GetWebSocketsToken"]
    assert len(set(answered)) == len(answered) >= 80


def test_a_deadline_goes_out_to_the_millisecond(client: KrakenClient, double: KrakenDouble) -> None:
    client.add_order(
        OrderRequest(BTC, Side.BUY, Decimal("0.01"), deadline=datetime(2026, 1, 2, 3, 4, 5, 6789, tzinfo=UTC))
    )
    assert double.calls[-1][1]["deadline"] == "2026-01-02T03:04:05.006Z"


def test_the_double_refuses_what_kraken_would(client: KrakenClient, double: KrakenDouble) -> None:
    """Else the tests above would prove little."""
    wrong = Credentials(KEY, base64.b64encode(b"another").decode())
    with (
        client_of(client.folder, double.url, credentials=wrong) as stranger,
        pytest.raises(NotAuthorised, match="Invalid signature"),
    ):
        stranger.balance()
