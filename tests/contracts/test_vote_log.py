"""Recorded votes come back as one table."""

import pytest

from tests.contracts.trade import HOUR, NOON, OPENING, intent, receipt
from trading.ports import DESK, VOTE_SCHEMA
from trading.stores.postgres import PostgresJournal, PostgresVotes


def opinion(agent: str, action: str | None, **evidence: object) -> dict[str, object]:
    return {
        "agent": agent,
        "model": f"{agent}/1",
        "action": action,
        "confidence": 0.4,
        "reasoning": "",
        "evidence": evidence,
    }


@pytest.fixture
def journal(dsn: str) -> PostgresJournal:
    journal = PostgresJournal(dsn)
    journal.open_account("paper", OPENING, NOON)
    return journal


def decide(journal: PostgresJournal, name: str, hours: int = 0, **changes: object) -> None:
    closed = NOON + hours * HOUR
    facts = receipt(
        name, dataset="kraken", candle_close_time=closed.isoformat(), strategy_version="desk/3",
        opinions=[opinion("technical", "LONG"), opinion("analyst", None, usd=0.25)], **changes,
    )  # fmt: skip
    assert journal.record_decision(facts, None)


def test_every_opinion_and_the_decision_itself_is_a_vote_on_its_candle(
    dsn: str, journal: PostgresJournal
) -> None:
    decide(journal, "one", action="HOLD", shadow=True)
    found = PostgresVotes(dsn, "kraken").read(NOON, NOON + HOUR).sort("agent")
    assert found.schema == VOTE_SCHEMA
    same = {"decision_id": "one", "closed_at": NOON, "pair": "BTC/USDT", "shadow": True}
    assert found.to_dicts() == [
        {**same, "agent": "analyst", "model": "analyst/1", "action": None, "confidence": 0.4, "usd": 0.25},
        {**same, "agent": DESK, "model": "desk/3", "action": "HOLD", "confidence": 0.75, "usd": 0.0},
        {
            **same,
            "agent": "technical",
            "model": "technical/1",
            "action": "LONG",
            "confidence": 0.4,
            "usd": 0.0,
        },
    ]


def test_an_order_that_a_person_approved_is_no_vote_of_the_desk(dsn: str, journal: PostgresJournal) -> None:
    decide(journal, "one", scope="proposed")
    assert sorted(PostgresVotes(dsn, "kraken").read(NOON, NOON + HOUR)["agent"]) == ["analyst", "technical"]


def test_of_some_models_their_votes_alone_are_read(dsn: str, journal: PostgresJournal) -> None:
    decide(journal, "one")
    decide(journal, "two", hours=1)
    votes = PostgresVotes(dsn, "kraken")

    def read(*models: str) -> list[tuple[str, str]]:
        found = votes.read(NOON, NOON + HOUR, models)
        return sorted(zip(found["decision_id"], found["agent"], strict=True))

    assert read("analyst/1", "nobody") == [("one", "analyst")]
    assert read("desk/3", "technical/1") == [("one", DESK), ("one", "technical")]
    assert read() == []
    decide(journal, "three", scope="proposed")
    assert read("desk/3") == [("one", DESK)]


def test_the_span_is_one_of_candles_whenever_they_were_decided_on(dsn: str, journal: PostgresJournal) -> None:
    for hours in range(4):
        decide(journal, f"{hours}", hours, decided_at=NOON.isoformat())
    found = PostgresVotes(dsn, "kraken").read(NOON + HOUR, NOON + 3 * HOUR)
    assert sorted(set(found["decision_id"])) == ["1", "2"]


def test_another_datasets_votes_and_decisions_without_a_candle_are_not_among_them(
    dsn: str, journal: PostgresJournal
) -> None:
    decide(journal, "one")
    assert journal.record_decision(receipt("exit", dataset="kraken"), intent("exit"))
    assert PostgresVotes(dsn, "simulated").read(NOON, NOON + HOUR).is_empty()
    assert set(PostgresVotes(dsn, "kraken").read(NOON, NOON + HOUR)["decision_id"]) == {"one"}
