"""How many alerts a person gets, whatever comes: properties over any stream of them, and the cases that have a name."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.alerting.filter import MAX_KINDS, WINDOW, AlertFilter, Verdict
from streaming.alerting.limits import AlertLimits
from streaming.messages import AlertMessage
from tests.streaming.alerting.alerts import AT, LIMITS, alert

KINDS = ["gap", "fill", "lag", "drawdown"]
coming = st.lists(
    st.tuples(
        st.integers(0, 100),  # seconds since the one before
        st.sampled_from(KINDS),
        st.sampled_from(["info", "warning", "error"]),
        st.sampled_from(["lost", "found", "broken"]),
        st.integers(0, 1200),  # age in seconds
    ),
    max_size=80,
)


class Told:
    """Feeds a filter as the sink does, and remembers what a person got."""

    def __init__(self, limits: AlertLimits = LIMITS) -> None:
        self.filter = AlertFilter(limits)
        self.sent: list[tuple[float, AlertMessage]] = []
        self.summaries: list[tuple[float, AlertMessage]] = []
        self.verdicts: Counter[Verdict] = Counter()

    def take(self, each: AlertMessage, now: float, age: float = 0.0) -> Verdict:
        verdict = self.filter.judge(each, age, now)
        if verdict is Verdict.SEND:
            self.sent.append((now, each))
        self.filter.note(each, verdict, now)
        self.verdicts[verdict] += 1
        self.look(now)
        return verdict

    def look(self, now: float) -> None:
        if summary := self.filter.summary(now, AT):
            self.summaries.append((now, summary))
            self.filter.note_summary()


def counted(text: str) -> int:
    return sum(int(line.split(" more of kind ")[0]) for line in text.split("\n"))


@given(coming)
def test_nobody_gets_more_than_the_limits_and_nothing_vanishes(
    stream: list[tuple[int, str, str, str, int]],
) -> None:
    told, now = Told(), 0
    for gap, kind, severity, text, age in stream:
        now += gap
        told.take(alert(text, kind, severity), now, age)
    told.look(now + WINDOW)
    for start, _ in told.sent:
        within = [each.kind for at, each in told.sent if start <= at < start + WINDOW]
        assert len(within) <= LIMITS.per_minute
        assert all(count <= LIMITS.per_minute_of(kind) for kind, count in Counter(within).items())
    times = [at for at, _ in told.summaries]
    assert all(after - before >= WINDOW for before, after in pairwise(times))
    assert len(told.sent) == told.verdicts[Verdict.SEND]
    assert sum(counted(each.text) for _, each in told.summaries) == told.verdicts[Verdict.HELD_BACK]
    assert told.verdicts.total() == len(stream)
    assert not told.filter.holds


@given(coming)
def test_the_same_is_sent_once_in_its_quiet_time(stream: list[tuple[int, str, str, str, int]]) -> None:
    told, now = Told(), 0
    for gap, kind, severity, text, age in stream:
        now += gap
        told.take(alert(text, kind, severity), now, age)
    newest: dict[tuple[str, str], float] = {}
    for at, each in told.sent:
        assert at - newest.get((each.kind, each.text), -1e9) >= LIMITS.repeat_seconds
        newest[each.kind, each.text] = at


@given(st.lists(st.text(max_size=8), max_size=300), st.floats(0, 5))
def test_a_flood_of_anything_is_remembered_in_bounded_memory(kinds: list[str], gap: float) -> None:
    told = Told()
    for number, kind in enumerate(kinds):
        told.take(alert(f"{kind} happened", kind), number * gap)
        assert len(told.filter._held) <= MAX_KINDS + 1
        assert len(told.filter._sent) <= LIMITS.per_minute
        assert len(told.filter._told) <= LIMITS.per_minute * (2 * LIMITS.repeat_seconds // WINDOW + 1)
        assert told.filter._repeats.keys() <= told.filter._told.keys()


def test_what_is_beyond_the_limit_is_one_line_of_a_summary_with_the_newest() -> None:
    told = Told()
    for word in ("one", "two", "three", "four", "five"):
        told.take(alert(f"gap {word}"), 1.0)
    told.look(60.9)
    assert told.summaries == []
    told.look(61.0)
    [(_, summary)] = told.summaries
    assert summary.text == "2 more of kind gap since 01 Mar 12:00 UTC, the newest: gap five"
    assert summary.severity == "warning"


def test_numbers_make_no_other_alert_but_another_event_does() -> None:
    told = Told()
    assert told.take(alert("hot is 1204 records behind"), 0) is Verdict.SEND
    assert told.take(alert("hot is 31,877 records behind"), 1) is Verdict.REPEATED
    assert told.filter.repeats(alert("hot is 5 records behind")) == 1
    assert told.take(alert("sold 1 BTC", "fill", about="fill-1"), 2) is Verdict.SEND
    assert told.take(alert("sold 1 BTC", "fill", about="fill-2"), 3) is Verdict.SEND
    assert told.take(alert("sold 1 BTC", "fill", about="fill-2"), 4) is Verdict.REPEATED


def test_after_its_quiet_time_it_is_sent_again() -> None:
    told = Told()
    told.take(alert(), 0)
    assert told.take(alert(), LIMITS.repeat_seconds - 1) is Verdict.REPEATED
    assert told.take(alert(), LIMITS.repeat_seconds) is Verdict.SEND


def test_a_count_of_repeats_that_nobody_asked_for_is_forgotten() -> None:
    told = Told()
    for _ in range(2):
        told.take(alert("hot is behind", "slow"), 0)
    told.take(alert("another"), 2 * LIMITS.repeat_seconds)
    assert told.filter.repeats(alert("hot is behind", "slow")) == 0
    assert len(told.filter._told) == 1


@pytest.mark.parametrize(("least", "expected"), [("info", "SSS"), ("warning", "LSS"), ("error", "LLS")])
def test_the_least_severity_and_a_kind_that_nobody_wants(least: str, expected: str) -> None:
    told = Told(replace(LIMITS, min_severity=least))
    verdicts = [told.take(alert(word, severity=word), 0) for word in ("info", "warning", "error")]
    assert "".join(each.name[0] for each in verdicts) == expected
    assert told.take(alert("far behind", "lag", "error"), 0) is Verdict.LEFT_OUT
    assert told.take(alert("from a newer version", "new", "fatal"), 0) is Verdict.SEND


def test_what_is_late_is_only_summed_up_from_its_own_time_on() -> None:
    told = Told()
    assert told.take(alert(at=AT - timedelta(hours=2)), 0, age=7200) is Verdict.HELD_BACK
    told.look(WINDOW)
    [(_, summary)] = told.summaries
    assert "since 01 Mar 10:00 UTC" in summary.text
