"""Keeps the account's lease while its holder works."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from trading.errors import Transient
from trading.ports import Journal, Lease

RENEWALS = 3  # in the time for which the lease is given


@contextmanager
def kept(journal: Journal, lease: Lease, seconds: float) -> Iterator[threading.Event]:
    """Renew the lease from a thread, and give it back at the end. The event is set once it is known to be lost."""
    done, lost = threading.Event(), threading.Event()

    def renew() -> None:
        while not done.wait(seconds / RENEWALS):
            if not _renew(journal, lease, seconds):
                lost.set()
                return

    thread = threading.Thread(target=renew, name="account lease", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        done.set()
        thread.join()
        with suppress(Transient):  # it ends by itself
            journal.release_lease(lease)


def _renew(journal: Journal, lease: Lease, seconds: float) -> bool:
    """Return False once the lease is lost. A store that cannot be reached now may be there for the next try."""
    try:
        return journal.renew_lease(lease, seconds)
    except Transient:
        return True
