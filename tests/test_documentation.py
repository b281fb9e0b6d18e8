"""What the pages say is true: links and paths lead somewhere, commands can be typed, figures are those of the code."""

import re
import shlex
from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from assets.partitions import Span
from ml.decision.decision_id import decision_id
from orchestration.cli import app
from orchestration.definitions import definitions
from orchestration.jobs import JOBS
from orchestration.plan_answers import answer_plan
from orchestration.settings import load_settings
from orchestration.tape_compaction import tape_compaction
from streaming.sandbox.faults import FaultKind
from tests import tutorial
from trading.indicators import FEATURES, POLICY_FEATURES
from trading.market import Pair
from trading.risk.rules import RULES

PROJECT = Path(__file__).parents[1]
DOCS = PROJECT / "docs"
PAGES = sorted([PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
NAMES = [str(page.relative_to(PROJECT)) for page in PAGES]
ROOMS = "orchestration|assets|sensors|ml|streaming|trading|tests|docs|benchmarks"
# Which program a line of a console block may call; everything that is ours is parsed.
OTHERS = {
    "curl",
    "git",
    "cd",
    "docker-compose",
    "sudo",
    "pg_dump",
    "pg_restore",
    "psql",
    "tar",
    "openssl",
    "export",
}
OTHERS |= {"systemctl", "dagster", "python", "ssh"}


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_page_and_to_a_heading_of_it(name: str) -> None:
    page = PROJECT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in _anchors(found), target


@pytest.mark.parametrize("name", NAMES)
def test_every_path_of_the_code_that_a_page_names_exists(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    named = re.findall(rf"`((?:{ROOMS})/[\w/.*-]*)`", text)
    assert [path for path in named if not list(PROJECT.glob(path.rstrip("/")))] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_command_of_a_page_can_be_typed(name: str) -> None:
    for line in _commands(PROJECT / name):
        _parse(shlex.split(line, comments=True))


def test_the_readme_lists_every_command() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?m)^\| `marketloom ([\w-]+)", text)) == set(_root().commands)


def test_the_page_of_the_ui_names_every_job() -> None:
    [line] = re.findall(r"(?s)\* \*\*Jobs\*\* (.*?) launch", (DOCS / "ui.md").read_text(encoding="utf-8"))
    jobs = {job.name for job in [*JOBS, tape_compaction, answer_plan]}
    assert set(re.findall(r"`(\w+)`", line)) == jobs


def test_every_page_is_in_the_index_and_every_decision_in_theirs() -> None:
    linked = set(re.findall(r"\]\((?!http)([\w./-]+)\)", (DOCS / "README.md").read_text(encoding="utf-8")))
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert pages <= linked
    index = (DOCS / "decisions/README.md").read_text(encoding="utf-8")
    decisions = {page.name for page in (DOCS / "decisions").glob("0*.md")}
    assert decisions == set(re.findall(r"\]\((0[\w.-]+)\)", index))


def test_drawn_arrows_are_those_of_the_asset_graph() -> None:
    graph = _graph()
    arrows = {
        (parent.to_user_string(), key.to_user_string())
        for key in graph.get_all_asset_keys()
        for parent in graph.get(key).parent_keys
    }
    assert _drawn("docs/architecture.md") == arrows
    main = _drawn("README.md")
    assert main
    assert main < arrows


def test_the_order_that_the_tutorial_explains_is_every_readers() -> None:
    words, shown = tutorial.steps()["why"]
    pair, moment = re.match(r"(\S+) at (\S+): ", shown[0]).groups()  # type: ignore[union-attr]
    identity = next(line for line in shown if line.startswith("decision "))
    account = identity.split("account ")[1].split(",")[0]
    made = decision_id(account, Pair.parse(pair), datetime.fromisoformat(moment))
    assert identity.startswith(f"decision {made}")
    assert made.startswith(words[1])


FIGURES: dict[str, Callable[[], int]] = {
    r"(\d+) (?:risk )?rules": lambda: len(RULES),
    r"(\d+) (?:features|indicators)": lambda: len(FEATURES),
    r"(\d+) of them are observed by a policy": lambda: len(POLICY_FEATURES),
    r"(\d+) assets": lambda: len(_graph().materializable_asset_keys),
    r"(\d+) (?:asset )?checks": lambda: len(_graph().asset_check_keys),
    r"(\d+) (?:kinds of )?faults": lambda: len(FaultKind),
    r"(\d+) commands": lambda: len(_root().commands),
}


@pytest.mark.parametrize("pattern", FIGURES)
def test_a_figure_is_the_same_on_all_pages_and_in_the_code(pattern: str) -> None:
    claimed = {
        (name, int(found))
        for name in NAMES
        for found in re.findall(pattern, (PROJECT / name).read_text(encoding="utf-8"))
    }
    assert claimed, "no page says it: take the pattern out"
    assert {figure for _, figure in claimed} == {FIGURES[pattern]()}, claimed


def _drawn(name: str) -> set[tuple[str, str]]:
    """Return the arrows between assets that a page draws."""
    text = (PROJECT / name).read_text(encoding="utf-8")
    drawing = next(each for each in re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL) if "ohlcv" in each)
    return set(re.findall(r"(?m)^ *(\w+) --> (\w+)$", drawing))


def _commands(page: Path) -> Iterator[str]:
    """Yield the lines that a reader types; output stands in blocks of its own."""
    for block in re.findall(r"(?m)^ *```console\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
        yield from filter(None, (line.strip() for line in block.replace("\\\n", " ").splitlines()))


def _parse(words: list[str]) -> None:
    """Fail unless the program exists and takes these words. Settings from the environment may stand before it."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    program = words[0].removeprefix(".venv/bin/") if words else "cd"
    if program == "make":
        _parse_make(words[1:])
    elif program == "marketloom":
        _parse_marketloom(words[1:])
    else:
        assert program in OTHERS, program


def _parse_make(words: list[str]) -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        name = word.partition("=")[0]
        known = rf"\$\({name}\)" if "=" in word else rf"(?m)^{re.escape(name)}:"
        assert re.search(known, makefile), word


def _parse_marketloom(words: list[str]) -> None:
    """Let the command line read the words, without running the command; it raises where it would refuse them."""
    command = _root()
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    with command.make_context(None, list(words)):
        pass


@cache
def _root() -> Any:
    return typer.main.get_command(app)


@cache
def _graph() -> Any:
    span = Span(date(2023, 1, 1), None)
    return definitions(load_settings({}), span).resolve_asset_graph()


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
