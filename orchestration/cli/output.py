"""What all commands have in common: the consoles they print on, the examples in their help, and `--json`."""

from typing import Annotated

import typer

from orchestration.terminal import open_console

out, errors = open_console(), open_console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the facts as one JSON document, nothing else.")]


def examples(*lines: str) -> str:
    """Write the end of a command's help."""
    return "\n".join(["Examples:", *(f"  marketloom {line}" for line in lines)])
