"""Kraken's private WebSocket on localhost; what it does with each request is scripted."""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

PATIENCE = 30.0  # seconds that a test waits for a fact
Request = dict[str, Any]


@dataclass
class SocketDouble:
    """`scripts[method]` are used up one by one; without one a request is accepted."""

    url: str = ""
    scripts: dict[str, list["Script"]] = field(default_factory=lambda: defaultdict(list))
    frames: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    held: list[tuple[ServerConnection, Request]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def methods(self, method: str) -> list[Request]:
        return [each for each in self.requests if each["method"] == method]

    def wait(self, fact: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(fact, PATIENCE), "it never came"

    def accept(self, socket: ServerConnection, request: Request, **changes: Any) -> None:
        params = request.get("params", {})
        result: dict[str, Any] = {"order_id": f"O{next(self.numbers):05}-WEBSO-CKETS0"}
        match request["method"]:
            case "ping":
                send(socket, {"method": "pong", "req_id": request["req_id"]})
                return
            case "subscribe":
                result = {"channel": "executions", "maxratecount": 60}
            case "amend_order":
                result = {"amend_id": "TAMEND-WEBSO-CKETS0"}
            case "cancel_order":
                result = {"order_id": "".join(params.get("order_id", []))}
        answer = {"method": request["method"], "req_id": request["req_id"], "success": True, "result": result}
        send(socket, answer | changes)
        if request["method"] == "subscribe":
            self.report(1, kind="snapshot")

    def report(self, sequence: int, *rows: dict[str, Any], kind: str = "update") -> None:
        """Say something in the newest connection's channel."""
        message = {"channel": "executions", "type": kind, "data": rows, "sequence": sequence}
        send(self.connections[-1], message)

    def converse(self, socket: ServerConnection) -> None:
        with self.changed:
            self.connections.append(socket)
        send(socket, {"channel": "status", "type": "update", "data": [{"system": "online"}]})
        with suppress(ConnectionClosed):
            for frame in socket:
                request = json.loads(frame, parse_float=Decimal)
                with self.changed:
                    self.frames.append(str(frame))
                    self.requests.append(request)
                    self.changed.notify_all()
                scripts = self.scripts[request["method"]]
                (scripts.pop(0) if scripts else accept)(self, socket, request)


Script = Callable[[SocketDouble, ServerConnection, Request], None]


def send(socket: ServerConnection, message: dict[str, Any]) -> None:
    with suppress(ConnectionClosed):
        socket.send(json.dumps(message))


def accept(double: SocketDouble, socket: ServerConnection, request: Request) -> None:
    double.accept(socket, request)


def hold(double: SocketDouble, socket: ServerConnection, request: Request) -> None:
    """Keep it for the test to answer, or for ever."""
    with double.changed:
        double.held.append((socket, request))
        double.changed.notify_all()


def cut(double: SocketDouble, socket: ServerConnection, request: Request) -> None:
    """Take it and break the connection without a word."""
    socket.close_socket()


def refusing(words: str, times: int = 1) -> list[Script]:
    def refuse(double: SocketDouble, socket: ServerConnection, request: Request) -> None:
        answer = {"method": request["method"], "req_id": request["req_id"], "success": False, "error": words}
        send(socket, answer)

    return [refuse] * times


def saying(text: str) -> Script:
    """Answer with this; REQ stands for the number of the request."""

    def say(double: SocketDouble, socket: ServerConnection, request: Request) -> None:
        socket.send(text.replace("REQ", str(request["req_id"])))

    return say


@contextmanager
def socket_running(double: SocketDouble) -> Iterator[SocketDouble]:
    with serve(
        double.converse, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=1
    ) as server:
        double.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v2"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield double
        finally:
            server.shutdown()
            thread.join()
            for socket in double.connections:
                socket.close_socket()


@dataclass
class Call:
    """A call in a thread of its own: what it returned, or raised."""

    thread: threading.Thread
    outcome: list[Any]

    def result(self) -> Any:
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "it never returned"
        [outcome] = self.outcome
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def calling(function: Callable[[], object]) -> Call:
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return Call(thread, outcome)
