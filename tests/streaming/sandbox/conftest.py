"""The sandbox's REST API, started for one test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.streaming.sandbox.rest_rig import RestApi, serve_rest


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[RestApi]:
    async with serve_rest(tmp_path) as api:
        yield api
