"""The steps of docs/tutorial.md: what a reader types, and what is shown below it."""

import re
import shlex
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
STEP = re.compile(r"```console\n\.venv/bin/marketloom ([^\n]+)\n```.*?```text\n(.*?)```", re.DOTALL)


def steps() -> dict[str, tuple[list[str], list[str]]]:
    """Return the words after `marketloom` and the lines that are shown, by command."""
    found = STEP.findall(PAGE.read_text(encoding="utf-8"))
    return {shlex.split(line)[0]: (shlex.split(line), plain(shown)) for line, shown in found}


def plain(text: str) -> list[str]:
    """Return the lines with single blanks: the width of a column depends on its numbers."""
    return [" ".join(line.split()) for line in text.splitlines()]


def headings(lines: list[str]) -> set[str]:
    """Return what does not depend on numbers: the headings of tables."""
    return {line for line in lines if line.startswith(("┃", "│ pair"))}
