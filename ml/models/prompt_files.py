"""Prompts in files, one per version: a text that was used is never edited, a new one gets the next number."""

import hashlib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Prompt:
    name: str  # such as headline-sentiment
    version: int
    text: str

    @property
    def hash(self) -> str:
        """Return the first 16 hexadecimal digits of the text's SHA-256: it is stored beside every result."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def load_prompt(package: str, name: str, version: int) -> Prompt:
    """Read NAME-vN.txt in the package's folder `prompt_texts`."""
    file = resources.files(package) / "prompt_texts" / f"{name}-v{version}.txt"
    return Prompt(name, version, file.read_text(encoding="utf-8").rstrip("\n"))
