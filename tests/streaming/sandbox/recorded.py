"""Comparing an answer with a recorded one: keys, types, lengths of rows and decimals of numbers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[3] / "../shared/data/rest"
NUMBER = re.compile(r"-?\d+(\.\d+)?")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def recorded(name: str) -> Any:
    file = FOLDER / name
    if not file.exists():
        pytest.skip(f"{file} is not here: recorded answers of the venue are needed")
    return json.loads(file.read_text())


def differences(real: Any, ours: Any, path: str = "") -> list[str]:
    """Where the shapes part; empty when they are the same. Lists of rows may differ in length."""
    if type(real) is not type(ours):
        return [f"{path}: {type(real).__name__} {real!r} is {type(ours).__name__} {ours!r}"]
    if isinstance(real, dict):
        return _differing_objects(real, ours, path)
    if isinstance(real, list):
        return _differing_lists(real, ours, path)
    if isinstance(real, str):
        return _differing_texts(real, ours, path)
    return []


def _differing_objects(real: dict, ours: dict, path: str) -> list[str]:
    found = [f"{path}.{name}: is missing" for name in real if name not in ours]
    found += [f"{path}.{name}: the venue has no such field" for name in ours if name not in real]
    for name in real:
        if name in ours:
            found += differences(real[name], ours[name], f"{path}.{name}")
    return found


def _differing_lists(real: list, ours: list, path: str) -> list[str]:
    if not real:
        return []
    if isinstance(real[0], list):  # rows: every one of ours is like the first of theirs
        return [
            it for number, row in enumerate(ours) for it in differences(real[0], row, f"{path}[{number}]")
        ]
    if path.rpartition(".")[2].startswith("leverage"):
        return [f"{path}: {ours!r}"] if not all(type(it) is int for it in ours) else []
    if len(real) != len(ours):
        return [f"{path}: {len(real)} entries are {len(ours)}"]
    pairs = enumerate(zip(real, ours, strict=True))
    return [it for number, (one, other) in pairs for it in differences(one, other, f"{path}[{number}]")]


def _differing_texts(real: str, ours: str, path: str) -> list[str]:
    for form in (TIME, NUMBER):
        if form.fullmatch(real):
            same = form.fullmatch(ours) and (form is TIME or _decimals(real) == _decimals(ours))
            return [] if same else [f"{path}: {real!r} is {ours!r}"]
    return [] if real == ours or path.endswith("]") else [f"{path}: {real!r} is {ours!r}"]


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])
