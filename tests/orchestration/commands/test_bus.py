"""`marketloom tail`, `bus` and `bus replay` on the outbox in PostgreSQL."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.system import POSTGRES
from streaming.bus.postgres import PostgresBus
from streaming.messages import DEAD_LETTERS, SCHEMAS, TickerMessage, decode, encode
from streaming.sinks.runner import SinkRunner
from tests.contracts.bus_contract import wait_until
from tests.orchestration.test_cli import run
from tests.streaming.sinks.test_runner import Notes, Target
from trading.ports import Message, Record

AT = datetime(2024, 3, 1, tzinfo=UTC)
NOTHING = dict.fromkeys(("bid_quantity", "ask", "ask_quantity", "last", "volume"))


@pytest.fixture
def bus(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresBus]:
    monkeypatch.setenv(POSTGRES, dsn)
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path))
    bus = PostgresBus(dsn)
    yield bus
    bus.close()


def ticker(bid: float, pair: str = "BTC/USDT") -> Message:
    return encode(TickerMessage(origin="kraken", pair=pair, bid=bid, at=AT, known_at=AT, **NOTHING))


def groups(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM bus_groups").fetchone()
    assert row is not None
    return int(row[0])


def test_tail_prints_documents_one_per_line_of_the_key_and_leaves_no_group(
    dsn: str, bus: PostgresBus, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    spread = json.dumps(json.loads(ticker(3.0).value), indent=2).encode()
    bus.publish([ticker(1.0), ticker(9.0, "XRP/USDT"), ticker(2.0), Message("ticker", "BTC-USDT", spread)])
    words = ("tail", "ticker", "--from-start", "--key", "BTC-USDT", "--limit", "3")
    code, out, problem = run(monkeypatch, capfd, *words)
    assert (code, problem) == (0, "")
    assert [json.loads(line)["bid"] for line in out.splitlines()] == [1.0, 2.0, 3.0]
    assert groups(dsn) == 0


def test_tail_of_a_topic_that_does_not_exist_names_those_that_do(
    bus: PostgresBus, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for words in (("tail", "candles"), ("tail", "candles", "--schema")):
        code, out, problem = run(monkeypatch, capfd, *words)
        assert (code, out) == (1, "")
        assert "candles" in problem
        assert all(topic in problem for topic in SCHEMAS)


@pytest.mark.parametrize("end", ["interrupt", "pipe"])
def test_tail_ends_quietly_on_ctrl_c_and_when_nobody_reads_any_more(
    end: str, dsn: str, bus: PostgresBus
) -> None:
    command = [sys.executable, "-m", "orchestration.cli", "tail", "ticker", "--from-start"]
    bus.publish([ticker(1.0)])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ), text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["bid"] == 1.0
        bus.publish([ticker(2.0)])
        assert json.loads(process.stdout.readline())["bid"] == 2.0  # it follows
        if end == "interrupt":
            process.send_signal(signal.SIGINT)
        else:
            process.stdout.close()
            bus.publish([ticker(float(n)) for n in range(3000)])
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
    assert groups(dsn) == 0


def sink(before: Any) -> Target:
    return Target(("ticker",), before)


def refuse(records: Any) -> None:
    for record in records:
        if decode(record, TickerMessage).bid in (1.0, 3.0):
            decode(Record("ticker", "", b"", 0, 0, AT), TickerMessage)


def put_aside(bus: PostgresBus, count: int, before: Any = refuse) -> Target:
    target, notes = sink(before), Notes()
    runner = SinkRunner(bus, target, bus, notes, first_pause=0.01)
    runner.start()
    wait_until(lambda: notes.done == count)
    assert runner.stop(60)
    return target


def bids(target: Target) -> list[float | None]:
    return [decode(each, TickerMessage).bid for batch in target.batches for each in batch]


def test_dead_letters_are_listed_and_sent_again_once_each(
    bus: PostgresBus, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bus.publish([ticker(float(n)) for n in range(5)])
    assert bids(put_aside(bus, 5)) == [0.0, 2.0, 4.0]
    code, out, _ = run(monkeypatch, capfd, "bus", "--json")
    facts = json.loads(out)
    assert code == 0
    assert {each["topic"]: each["messages"] for each in facts["topics"]} == {"ticker": 5, DEAD_LETTERS: 2}
    [group] = facts["groups"]
    assert (group["group"], group["topic"], group["lag"]) == ("store", "ticker", 0)
    [letters] = facts["dead_letters"]
    assert (letters["group"], letters["topic"], letters["letters"]) == ("store", "ticker", 2)
    assert "cannot be read" in letters["reason"]
    for sent in ({"ticker": 2}, {}):  # the second time nothing is left
        code, out, _ = run(monkeypatch, capfd, "bus", "replay", "--json")
        assert (code, json.loads(out)) == (0, {"sent": sent, "not_json": 0})
    assert bids(put_aside(bus, 2, lambda records: None)) == [1.0, 3.0]  # repaired: both are taken
    _, out, _ = run(monkeypatch, capfd, "bus")
    assert "dead letters: none" in out


def test_a_letter_that_fails_again_becomes_a_new_letter_and_filters_leave_the_others(
    bus: PostgresBus, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bus.publish([ticker(float(n)) for n in range(5)])
    put_aside(bus, 5)
    for words, sent in (
        (("--topic", "trades"), {}),
        (("--group", "another"), {}),
        (("--topic", "ticker", "--group", "store"), {"ticker": 2}),
    ):
        _, out, _ = run(monkeypatch, capfd, "bus", "replay", "--json", *words)
        assert json.loads(out)["sent"] == sent
    put_aside(bus, 2)  # still refused
    _, out, _ = run(monkeypatch, capfd, "bus", "--json")
    assert json.loads(out)["dead_letters"][0]["letters"] == 2
    _, out, _ = run(monkeypatch, capfd, "bus", "replay")
    assert "2 to ticker" in out


def test_replay_of_a_topic_that_does_not_exist_names_those_that_do(
    bus: PostgresBus, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, problem = run(monkeypatch, capfd, "bus", "replay", "--topic", "nonsense")
    assert (code, out) == (1, "")
    assert "nonsense" in problem
    assert all(topic in problem for topic in SCHEMAS)


def test_a_record_that_two_groups_put_aside_is_sent_again_once(
    bus: PostgresBus, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bus.publish([ticker(1.0)])
    put_aside(bus, 1)
    monkeypatch.setattr(Target, "group", "lake")
    put_aside(bus, 1)
    _, out, _ = run(monkeypatch, capfd, "bus", "replay", "--json")
    assert json.loads(out)["sent"] == {"ticker": 1}
    _, out, _ = run(monkeypatch, capfd, "bus", "replay", "--json")
    assert json.loads(out)["sent"] == {}
