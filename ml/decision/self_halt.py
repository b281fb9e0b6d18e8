"""The account halts, and asks a person, when too many decisions in a row failed or were made without an answer.

Orders that the venue rejects in a row are counted in the ledger itself: `trading.risk.halts`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime

from ml.decision.one_strategy import AccountIsAhead
from trading.ports import FailureKind, Journal
from trading.risk import Halt, HaltKind

_WORDS = {
    FailureKind.ERROR: "{} decisions in a row failed (limit {}), the last one with {}",
    FailureKind.ANSWER: "{} decisions in a row were made without the answer of an agent (limit {}), the last one: {}",
}


@contextmanager
def counting_errors(journal: Journal, account: str, at: datetime, limit: int) -> Iterator[None]:
    """Count the error that ends the block, and raise it; what is counted is no reason to lose the error itself.

    That another pair was decided on meanwhile is none.
    """
    try:
        yield
    except AccountIsAhead:
        raise
    except Exception as error:
        with suppress(Exception):
            _count(journal, account, FailureKind.ERROR, f"{type(error).__name__}: {error}", at, limit=limit)
        raise


def count_answers(
    journal: Journal, account: str, absent: Mapping[str, str] | None, at: datetime, limit: int
) -> None:
    """Note a decision that was made, and how: `absent` names agents without an answer, None says that nobody was asked.

    The account is locked by the caller.
    """
    journal.end_failures(account, [FailureKind.ERROR] if absent != {} else list(FailureKind))
    if absent:
        words = "; ".join(f"{agent} {why}" for agent, why in absent.items())
        _count(journal, account, FailureKind.ANSWER, words, at, limit=limit)


def _count(journal: Journal, account: str, kind: FailureKind, what: str, at: datetime, *, limit: int) -> None:
    number = journal.count_failure(account, kind, what, at)
    if number >= limit:
        journal.begin_halts(
            account, [Halt(HaltKind.FAILURES, at, None, _WORDS[kind].format(number, limit, what))]
        )
        journal.end_failures(account, [kind])
