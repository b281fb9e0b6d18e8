"""Streams that start in an instant: `python -m tests.streaming.faults.stream_forker` forks one for each start.

Imports are most of a stream's start. This process does them once; each stream is a process of its own all the same,
with its own environment, log and end. It answers each line of standard input, a JSON object, with one line:
`start` (an environment and a log file) with the process id, `poll` (a process id) with the exit code, or null while
the process runs.
"""

import faulthandler
import importlib
import json
import os
import signal
import sys
import threading
from typing import Any, NoReturn

LATER = (  # imported by the stream when it needs them
    "confluent_kafka",
    "httpx",
    "psycopg.types.json",
    "redis",
    "talib",
    "trading.indicators",
    "trading.live_features",
    "trading.stores.hot_memory",
    "trading.stores.hot_redis",
    "trading.stores.tape_lake",
    "uvicorn",
    "websockets.asyncio.client",
)


def start(environment: dict[str, str], log: str) -> int:
    child = os.fork()
    if child == 0:
        run(environment, log)
    return child


def run(environment: dict[str, str], log: str) -> NoReturn:
    """Be a stream, as `marketloom stream` is, from here to the end of the process."""
    from orchestration.commands.stream import run_stream

    code = 70
    try:
        os.environ.clear()
        os.environ.update(environment)
        nothing = os.open(os.devnull, os.O_RDONLY)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for here, there in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(here, there)
        faulthandler.register(signal.SIGUSR1)  # all stacks into the log
        code = int(run_stream())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def main() -> None:
    for name in ("orchestration.commands.stream", *LATER):
        importlib.import_module(name)
    assert threading.active_count() == 1, "a process with threads cannot be forked safely"
    say("ready")
    for line in sys.stdin:
        asked = json.loads(line)
        say(start(**asked["start"]) if "start" in asked else poll(asked["poll"]))


def say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
