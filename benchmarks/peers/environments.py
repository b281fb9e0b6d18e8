"""One environment per group of peers that can live together, beside the project's own, never in it."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".venv-peers"


@dataclass(frozen=True, slots=True)
class Environment:
    name: str
    requirements: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Written after the last step: what was asked for, so that a changed pin builds anew."""
        return self.folder / "installed.txt"

    @property
    def ready(self) -> bool:
        return self.stamp.exists() and self.stamp.read_text() == "\n".join(self.requirements)


VECTORBT = Environment("vectorbt", ("vectorbt[rust]==1.2.0", "backtesting==0.6.6"))
NAUTILUS = Environment(
    "nautilus", ("nautilus_trader==1.221.0", "pandas<3")
)  # its indexing breaks on pandas 3
FREQTRADE = Environment("freqtrade", ("freqtrade==2026.9",))
ENVIRONMENTS = (VECTORBT, NAUTILUS, FREQTRADE)


def build(environment: Environment) -> str | None:
    """Build it unless it is there; returns the last lines of what went wrong, or None."""
    if environment.ready:
        return None
    print(f"building {environment.folder}: {', '.join(environment.requirements)}", file=sys.stderr)
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(environment.folder)],
        [str(environment.python), "-m", "pip", "install", "--quiet", *environment.requirements],
    ):
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode:
            return "\n".join((finished.stderr or finished.stdout).strip().splitlines()[-5:])
    environment.stamp.write_text("\n".join(environment.requirements))
    return None
