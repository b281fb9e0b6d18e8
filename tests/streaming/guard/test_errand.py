"""An errand that failed is not failing any more once it is done, or there is nothing left to do."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from streaming.guard.errand import Errand
from trading.errors import StoreUnreachable

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("next_given", [None, "more"])
async def test_what_failed_is_well_once_it_is_done_or_not_to_be_done_any_more(
    monkeypatch: pytest.MonkeyPatch, next_given: str | None
) -> None:
    monkeypatch.setattr("streaming.guard.errand.RETRY_SECONDS", 0.0)
    given = ["first", next_given]
    seen: list[str] = []
    over = asyncio.Event()

    def prepare() -> str | None:
        if given[0] is None:
            over.set()
        return given.pop(0)

    def act(what: str) -> None:
        if what == "first":
            raise StoreUnreachable("away")

    errand: Errand[str, None] = Errand(
        "test",
        prepare,
        act,
        lambda *_: over.set(),
        failed=lambda name: seen.append(f"{name}: {errand.failing}"),
    )
    errand.ask()
    with ThreadPoolExecutor(1) as pool:
        running = asyncio.create_task(errand.run(pool))
        await over.wait()
        assert errand.failing == ""
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert seen == ["test: StoreUnreachable: away"]


async def test_it_ends_though_it_is_asked_in_the_moment_in_which_it_is_cancelled() -> None:
    prepared = asyncio.Event()
    errand: Errand[str, None] = Errand(
        "test", prepared.set, lambda _: None, lambda *_: None, failed=lambda _: None, every=3600.0
    )
    with ThreadPoolExecutor(1) as pool:
        running = asyncio.create_task(errand.run(pool))
        await prepared.wait()  # it was asked at once, and waits now
        await asyncio.sleep(0)
        errand.ask()
        running.cancel()
        await asyncio.wait([running], timeout=60)
    assert running.cancelled()
