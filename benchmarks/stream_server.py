"""A venue on loopback for benchmarks: `python -m benchmarks.stream_server RATE COUNT`, its address is the first line.

It confirms every subscription and then sends COUNT trades of BTC/USDT, RATE each second, one per frame, as Kraken does.
The time of each trade is when it was sent, by this machine's clock.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

TICK = 0.001  # seconds
FRAME = (
    '{{"channel":"trade","type":"update","data":[{{"symbol":"BTC/USDT","side":"buy","price":{price:.1f},'
    '"qty":0.01000000,"ord_type":"limit","trade_id":{number},"timestamp":"{at}Z"}}]}}'
)


async def _serve(rate: float, count: int) -> None:
    async def converse(connection: ServerConnection) -> None:
        subscribed = False
        try:
            while not subscribed:
                request = json.loads(await connection.recv())
                for symbol in request["params"].get("symbol", []):
                    subscribed |= request["params"]["channel"] == "trade"
                    result = {"channel": request["params"]["channel"], "symbol": symbol}
                    answer = {
                        "method": "subscribe",
                        "req_id": request["req_id"],
                        "success": True,
                        "result": result,
                    }
                    await connection.send(json.dumps(answer))
            await asyncio.sleep(1.0)
            await _send(connection, rate, count)
            await connection.wait_closed()
        except ConnectionClosed:
            return

    async with serve(converse, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def _send(connection: ServerConnection, rate: float, count: int) -> None:
    began, sent = time.monotonic(), 0
    while sent < count:
        due = min(count, int((time.monotonic() - began) * rate))
        while sent < due:
            at = datetime.now(UTC).isoformat(timespec="microseconds")[:-6]
            await connection.send(FRAME.format(price=30_000 + sent % 100, number=sent + 1, at=at))
            sent += 1
        await asyncio.sleep(TICK)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), int(sys.argv[2])))
