"""One of several processes that decide on one account: `python -m tests.contracts.rival_writer DSN NAME COUNT`.

Each decision reads what is open, makes room by cancelling what it must, and adds an entry.
"""

import random
import sys
from datetime import timedelta
from decimal import Decimal

from tests.contracts.trade import NOON, intent, receipt
from trading.ports import Journal
from trading.stores.postgres import PostgresJournal

MAX_OPEN, MAX_EXPOSURE = 3, Decimal(5)


def decide(journal: Journal, decision_id: str, quantity: Decimal, number: int) -> None:
    with journal.exclusive("paper"):
        working = journal.working_orders("paper")
        exposure = sum((each.remaining for each in working), quantity)
        cancels: list[str] = []
        while len(working) - len(cancels) >= MAX_OPEN or exposure > MAX_EXPOSURE:
            oldest = working[len(cancels)]
            cancels.append(oldest.intent.intent_id)
            exposure -= oldest.remaining
        wanted = intent(decision_id, quantity=quantity, created_at=NOON + timedelta(seconds=number))
        journal.record_decision(receipt(decision_id), wanted, cancels)


def main(dsn: str, name: str, count: int) -> None:
    journal, chance = PostgresJournal(dsn), random.Random(name)
    for number in range(count):
        decide(journal, f"{name}-{number}", Decimal(chance.randint(1, 3)), number)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
