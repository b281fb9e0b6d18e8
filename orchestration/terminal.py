"""The consoles of the command line: text is printed as it is, and style stands beside it, never inside it."""

import sys

from rich.console import Console

WIDE = 120  # columns when nobody's terminal is asked: a table that is piped must not be cut to 80


def open_console(*, stderr: bool = False) -> Console:
    """Open a console that changes no text: Rich takes words in square brackets for style, and :words: for pictures.

    Coloured words are `rich.text.Text`, or the `style` of a whole line.
    """
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDE
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)
