"""Clients that cost as little as they can, so that it is the server that is measured."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from time import time_ns
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp

from benchmarks.sandbox_process import Listening
from trading.venues.kraken.authentication import signature

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0  # seconds that an answer may take
TEXT, CLOSE = 1, 8  # kinds of frame
CHANNEL = slice(12, 16)  # of {"channel":"book", four letters are enough to tell them apart


@contextmanager
def process(kind: str) -> Iterator[Listening]:
    """A server of its own; it ends with the block, or with this process."""
    command = [sys.executable, "-m", "benchmarks.sandbox_process", kind]
    served = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert served.stdin is not None
    assert served.stdout is not None
    try:
        yield Listening(**json.loads(served.stdout.readline()))
    finally:
        served.stdin.close()
        try:
            served.wait(10)
        except subprocess.TimeoutExpired:
            served.kill()
            served.wait()
        served.stdout.close()


class Socket(asyncio.Protocol):
    """A WebSocket that counts the messages of channels and keeps everything else for `answer`.

    Everything in one function and nothing decoded: ten of these have to keep up with one server.
    """

    def __init__(self, kept: int = 0) -> None:
        """The first `kept` messages of channels are kept too."""
        self.counted: Counter[bytes] = Counter()
        self.sizes: Counter[bytes] = Counter()
        self.kept: list[bytes] = []
        self._keep = kept
        self._rest = b""
        self._open = False
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._answers.put_nowait(b"")

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._open:
            head, found, data = data.partition(b"\r\n\r\n")
            self._rest = head
            if not found:
                return
            self._open = True
            self._answers.put_nowait(head)
        at, end = 0, len(data)
        while end - at >= 2:
            length, start = data[at + 1], at + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                length = int.from_bytes(data[at + 2 : start])
            if start + length > end or start > end:
                break
            kind, at = data[at] & 15, start + length
            if kind == TEXT:
                self._take(data[start:at])
            elif kind == CLOSE:
                self._answers.put_nowait(b"")
        self._rest = data[at:]

    def _take(self, message: bytes) -> None:
        if not message.startswith(b'{"channel'):
            self._answers.put_nowait(message)
            return
        channel = message[CHANNEL]
        self.counted[channel] += 1
        self.sizes[channel] += len(message)
        if len(self.kept) < self._keep:
            self.kept.append(message)

    def send(self, message: dict[str, Any]) -> None:
        """Masked, as a client has to, with zeros, as nobody has to be kept out here."""
        payload = json.dumps(message).encode()
        length = len(payload)
        size = bytes((128 | length,)) if length < 126 else b"\xfe" + length.to_bytes(2)
        self._transport.write(b"\x81" + size + bytes(4) + payload)

    def upgrade(self, url: str) -> None:
        where = urlsplit(url)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    async def answer(self) -> bytes:
        """The next message that no channel sent. ConnectionError when the server is gone or says nothing."""
        try:
            told = await asyncio.wait_for(self._answers.get(), PATIENCE)
        except TimeoutError:
            raise ConnectionError(f"no answer within {PATIENCE:g} s") from None
        if not told:
            raise ConnectionError("the server has closed the connection")
        return told

    def close(self) -> None:
        self._transport.abort()


def _given(socket: Socket) -> Socket:
    return socket


@asynccontextmanager
async def sockets(url: str, count: int, kept: int = 0) -> AsyncIterator[list[Socket]]:
    """Connected; the first one keeps messages."""
    loop, where = asyncio.get_running_loop(), urlsplit(url)
    opened: list[Socket] = []
    try:
        for number in range(count):
            socket = Socket(0 if number else kept)
            await loop.create_connection(partial(_given, socket), str(where.hostname), where.port or 0)
            opened.append(socket)
            socket.upgrade(url)
            if b" 101 " not in (head := await socket.answer()):
                raise ConnectionError(f"{url} gives no WebSocket: {head!r}")
        yield opened
    finally:
        for socket in opened:
            socket.close()


class Rest:
    """Signed calls, one after the other over one connection."""

    def __init__(self, session: aiohttp.ClientSession, listening: Listening) -> None:
        self._session = session
        self._listening = listening
        self._nonce = time_ns()

    async def call(self, method: str, fields: dict[str, str]) -> dict[str, Any]:
        """The answer's result. ConnectionError with whatever else the exchange says."""
        told = json.loads(await self.raw(method, fields))
        if told["error"]:
            raise ConnectionError(f"{method} {fields}: {told['error']}")
        result: dict[str, Any] = told["result"]
        return result

    async def raw(self, method: str, fields: dict[str, str]) -> bytes:
        self._nonce += 1
        path, body = f"/0/private/{method}", urlencode({"nonce": self._nonce, **fields})
        secret = self._listening.secret or "c2VjcmV0"
        headers = {
            "API-Key": self._listening.key,
            "API-Sign": signature(path, self._nonce, body, secret),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        async with self._session.post(self._listening.url + path, data=body, headers=headers) as response:
            return await response.read()

    async def advance(self, seconds: float) -> int:
        """Move the sandbox's market; how often it traded."""
        url, headers = f"{self._listening.url}/admin/advance", {"X-Sandbox-Admin": "1"}
        async with self._session.post(url, json={"seconds": seconds}, headers=headers) as response:
            told = await response.json()
        if response.status != 200:
            raise ConnectionError(f"{url}: {told}")
        ticks: int = told["ticks"]
        return ticks


@asynccontextmanager
async def rest(listening: Listening) -> AsyncIterator[Rest]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
        yield Rest(session, listening)
