"""Programs that some tests need: missing ones skip the test here and fail it where they must be."""

import importlib
import importlib.util
import os
import shutil
from types import ModuleType

import pytest


def needs(program: str) -> str:
    """Path of the program; skips without it, fails instead where MARKETLOOM_REQUIRE_SERVICES is set."""
    if path := shutil.which(program):
        return path
    if os.environ.get("MARKETLOOM_REQUIRE_SERVICES"):
        pytest.fail(f"{program} is missing and MARKETLOOM_REQUIRE_SERVICES is set: install it")
    pytest.skip(f"{program} is not installed")


def needs_module(name: str) -> ModuleType:
    """Import the module; without it as `needs` does."""
    if importlib.util.find_spec(name):
        return importlib.import_module(name)
    if os.environ.get("MARKETLOOM_REQUIRE_SERVICES"):
        pytest.fail(f"{name} is missing and MARKETLOOM_REQUIRE_SERVICES is set: make install")
    pytest.skip(f"{name} is not installed")
