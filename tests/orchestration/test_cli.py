"""The `marketloom` command as a person and as a program use it: help, version, completion, messages, JSON."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.text import Text

from orchestration import cli
from orchestration.json_output import as_json_line
from orchestration.settings import PROJECT
from orchestration.terminal import open_console
from trading import errors

# All of it is text, none of it style.
ODD = "too few months ([policy] train_months), [/red] :warning: [bold]x"
GROUP: Any = typer.main.get_command(cli.app)


def commands(group: Any = GROUP, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


COMMANDS = dict(commands())


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    """Run the command in this process; returns its exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["marketloom", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    assert code is None or isinstance(code, int)
    return (code or 0, *capsys.readouterr())


ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


def fail_with(error: BaseException) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("words", [("status",), ("status", "--json")])
def test_every_error_reaches_a_person_word_for_word(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: type[Exception],
    words: tuple[str, ...],
) -> None:
    error = kind("trade", ODD) if kind is errors.InvalidMessage else kind(ODD)
    monkeypatch.setattr("orchestration.commands.status.read_status", fail_with(error))
    code, out, said = run(monkeypatch, capsys, *words)
    assert code == 1
    assert said == f"error: {error}\n"
    assert out == (json.dumps({"error": str(error)}) + "\n" if "--json" in words else "")


def test_no_text_of_the_command_line_passes_through_markup() -> None:
    """Consoles come from `terminal` alone, and nothing asks Rich to read style from text."""
    for file in (PROJECT / "orchestration").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="Console") | ast.Attribute(attr="Console")):
                    assert file.name == "terminal.py", f"{file}:{node.lineno} opens a console of its own"
                case ast.ImportFrom(module="rich.markup") | ast.Attribute(attr="from_markup"):
                    pytest.fail(f"{file}:{node.lineno} uses markup")
                case ast.keyword(arg="markup", value=ast.Constant(value=True)):
                    pytest.fail(f"{file}:{node.lineno} uses markup")
                case ast.Constant(value=str(text)):
                    assert "[/" not in text, f"{file}:{node.lineno} has style inside its text"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=map(" ".join, COMMANDS))
def test_the_help_loses_no_word_to_markup(command: Any) -> None:
    texts = [command.help, command.epilog, *(each.help for each in command.params if each.help)]
    assert [Text.from_markup(text).plain for text in texts] == texts


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_shows_examples_that_it_understands(path: tuple[str, ...]) -> None:
    heading, *examples = COMMANDS[path].epilog.splitlines()
    assert heading == "Examples:"
    assert examples
    for example in examples:
        program, *words = shlex.split(example.partition("|")[0])
        assert program == "marketloom"
        assert tuple(words[: len(path)]) == path
        context = COMMANDS[path].make_context(path[-1], words[len(path) :], resilient_parsing=False)
        assert not context.args


def test_the_version_is_that_of_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, capsys, "--version") == (0, f"marketloom {version('marketloom')}\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_the_script_that_completes_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    monkeypatch.setenv("_MARKETLOOM_COMPLETE", f"source_{shell}")
    code, out, _ = run(monkeypatch, capsys)
    assert code == 0
    assert f"_MARKETLOOM_COMPLETE=complete_{shell}" in out


def test_the_completion_offers_what_the_command_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_MARKETLOOM_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "marketloom s")
    monkeypatch.setenv("COMP_CWORD", "1")
    _, out, _ = run(monkeypatch, capsys)
    assert out.split() == ["status", "stream", "sql", "shadow", "sandbox"]


def test_the_port_of_the_command_wins_over_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from orchestration.commands import dev
    from orchestration.settings import load_settings

    monkeypatch.setenv("MARKETLOOM__DAGSTER__PORT", "4000")
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path))
    monkeypatch.setattr(dev, "running_system", fail_with(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        dev.serve(open_console(), 3999)
    assert load_settings().dagster.port == 3999


@pytest.mark.parametrize(
    "words",
    [
        ("dev", "--port", "much"),
        ("dev", "--port", "70000"),
        ("sandbox", "--port", "1.5"),
        ("sandbox", "--speed", "fast"),
        ("watch", "--seconds", "soon"),
        ("watch", "--depth", "[red]"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, _, said = run(monkeypatch, capsys, *words)
    _, option, value = words
    assert code == 2
    assert option in said
    assert re.search(rf"{re.escape(value)}.*: allowed is a (whole )?number", said)
    assert not re.search("(?i)input should|pydantic|parse|pattern", said)


def test_an_unknown_word_under_json_is_a_document_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, said = run(monkeypatch, capsys, "status", "--jsn", "--json")
    assert code == 2
    assert "--jsn" in json.loads(out)["error"]
    assert "Try 'marketloom status --help'" in said


def test_an_import_prints_one_document_or_one_per_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path / "home"))
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text("nothing that we know\n")
    code, out, _ = run(monkeypatch, capsys, "import", str(tmp_path), "--json")
    assert (code, len(json.loads(out))) == (1, 2)
    code, out, _ = run(monkeypatch, capsys, "import", str(tmp_path), "--jsonl")
    assert (code, len([json.loads(line) for line in out.splitlines()])) == (1, 2)


def test_json_holds_no_number_that_json_does_not_know() -> None:
    line = as_json_line({"now": [float("nan"), {"inside": float("inf")}], "fine": 1.5})
    assert json.loads(line, parse_constant=fail_with(ValueError())) == {
        "now": [None, {"inside": None}],
        "fine": 1.5,
    }


def test_json_writes_times_as_rfc_3339_and_decimals_as_text() -> None:
    noon = datetime(2024, 3, 14, 12, tzinfo=UTC)
    line = as_json_line({"at": noon, "days": [noon.date()], "fee": Decimal("0.10")})
    assert json.loads(line) == {"at": "2024-03-14T12:00:00+00:00", "days": ["2024-03-14"], "fee": "0.10"}


EVERYTHING = """
import importlib, pkgutil
import orchestration.commands
for module in pkgutil.iter_modules(orchestration.commands.__path__, "orchestration.commands."):
    importlib.import_module(module.name)
from orchestration.definitions import definitions
from orchestration.settings import load_settings
definitions(load_settings())
"""


def test_no_command_and_no_graph_prints_a_warning_of_a_library(tmp_path: Path) -> None:
    """Seconds: a process of its own without bytecode, since a library warns when it is compiled and imported first."""
    fresh = {"PYTHONPYCACHEPREFIX": str(tmp_path / "none"), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        [sys.executable, "-W", "default", "-c", EVERYTHING],
        env={**os.environ, **fresh, "MARKETLOOM_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
