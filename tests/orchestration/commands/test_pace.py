"""A look that is asked for all the time is made every so often, also after one that has failed."""

from contextlib import suppress

from orchestration.commands.pace import every


def test_it_looks_at_once_and_then_every_so_often_whatever_came_of_it() -> None:
    now, looked = 1000.0, list[float]()

    def look() -> None:
        looked.append(now)
        raise OSError("PostgreSQL is away")

    paced = every(15.0, look, lambda: now)
    for _ in range(7):
        with suppress(OSError):
            paced()
        now += 5.0
    assert looked == [1000.0, 1015.0, 1030.0]
