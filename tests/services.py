"""Programs that some tests need: missing ones skip the test here and fail it where they must be."""

import os
import shutil

import pytest


def needs(program: str) -> str:
    """Path of the program; skips without it, fails instead where MARKETLOOM_REQUIRE_SERVICES is set."""
    if path := shutil.which(program):
        return path
    if os.environ.get("MARKETLOOM_REQUIRE_SERVICES"):
        pytest.fail(f"{program} is missing and MARKETLOOM_REQUIRE_SERVICES is set: install it")
    pytest.skip(f"{program} is not installed")
