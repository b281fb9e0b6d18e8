"""`marketloom tail`: the messages of a topic as JSON lines, for people and for programs in other languages."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TextIO

import msgspec

from orchestration.bus import check_topic, open_bus
from orchestration.postgres.embedded import prepare_home
from orchestration.settings import home_folder, load_settings
from orchestration.settings_schema import BusSettings
from orchestration.system import postgres_addresses
from trading.ports import Bus, Reader, Record
from trading.stores.postgres import migrate

BATCH = 1000
WAIT_SECONDS = 1.0


def tail(topic: str, from_start: bool, limit: int | None, key: str | None, out: TextIO) -> None:
    """Write one document per line until `limit`, Ctrl-C or the end of the pipe. `key`: a pair in either form."""
    settings = load_settings().bus
    check_topic(settings, topic)
    try:
        with _bus(settings) as bus:
            reader = bus.reader([topic], from_start)
            try:
                _follow(reader, limit, key and key.replace("/", "-"), out)
            finally:
                reader.close()
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # Python flushes once more at its end


def _follow(reader: Reader, limit: int | None, key: str | None, out: TextIO) -> None:
    written = 0
    while limit is None or written < limit:
        for record in reader.poll(BATCH, WAIT_SECONDS):
            if key is not None and record.key != key:
                continue
            out.write(_line(record))
            written += 1
            if written == limit:
                break
        out.flush()


def _line(record: Record) -> str:
    """Return the document on one line; what is none becomes one that says so."""
    try:
        return msgspec.json.format(record.value, indent=-1).decode() + "\n"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = record.value.decode(errors="replace")
        return (
            msgspec.json.encode({"unreadable": text, "reason": str(error), "key": record.key}).decode() + "\n"
        )


@contextmanager
def _bus(settings: BusSettings) -> Iterator[Bus]:
    with ExitStack() as stack:
        dsn = ""
        if settings.kind == "postgres":
            dsn, _ = stack.enter_context(postgres_addresses(prepare_home(home_folder())))
            migrate(dsn)
        bus = open_bus(settings, dsn)
        stack.callback(bus.close)
        yield bus
