"""Sentences about companies that we wrote ourselves, with slots: what the packaged `company` head learns from.

`company_sentences.txt` has one sentence a line under the heading of its label. `[rose|grew]` is a choice, `{lo}` and
`{hi}` are amounts of one currency, the second the larger. No sentence is taken from a labelled set (decision 37).
"""

import random
import re
from pathlib import Path

from ml.sentiment.head import LABELS

SENTENCES = Path(__file__).with_name("company_sentences.txt")
VARIANTS = 10  # of each sentence, fewer where it has no more

_COMPANIES = (
    "Norvik Steel", "Halden Foods", "Castellan", "Brightwater", "Orrin Telecom", "Pellegrin Paper", "Tarn Logistics",
    "Wexley Retail", "Ostra Energy", "Medora Pharma", "Kestrel Software", "Lindqvist Marine", "Arvo Machines",
    "Baltic Timber", "Sundby Group", "Corvin Media", "Delmar Airlines", "Fenwick Tools",
)  # fmt: skip
_NAMES = {
    "bank": ("Harbour Bank", "Northern Securities", "Alster Bank"),
    "person": ("Anna Berg", "Mark Olden", "Ines Carvalho", "Peter Hollis", "Liisa Maki", "Jon Strand"),
    "land": (
        "Poland", "Brazil", "Sweden", "China", "Germany", "the Baltic countries", "Russia", "Canada", "India",
    ),
    "city": ("Oslo", "Tampere", "Hamburg", "Vienna", "Lyon", "Riga"),
    "m": ("January", "March", "May", "June", "September", "October", "December"),
}  # fmt: skip
_MONEY = (
    "EUR {} mn", "EUR {} million", "EUR{}m", "USD {} million", "$ {} mln", "{} million euros", "EUR {} bn"
)  # fmt: skip
_OPENINGS = ("According to the company , ", "", "It said ", "Finnish ", "In addition , ")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")


def company_sentences(seed: int = 0) -> tuple[list[str], list[int]]:
    """Return texts and their labels (0 negative, 1 neutral, 2 positive), the same for the same seed."""
    source = random.Random(seed)
    texts, labels, label = [], [], 0
    for line in SENTENCES.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            label = LABELS.index(line[2:])
            continue
        for text in dict.fromkeys(_filled(line, source) for _ in range(VARIANTS)):
            texts.append(_framed(text, source))
            labels.append(label)
    return texts, labels


def _filled(line: str, source: random.Random) -> str:
    """Choose among the words in brackets, then fill the slots."""
    chosen = _CHOICE.sub(lambda found: source.choice(found[1].split("|")), line)
    values = _amounts(source)
    filled = _SLOT.sub(lambda found: values.get(found[1]) or source.choice(_NAMES[found[1]]), chosen)
    return " ".join(filled.split())


def _amounts(source: random.Random) -> dict[str, str]:
    low = round(source.uniform(1, 6) * source.choice((1, 1, 1, 10, 100)), 1)
    money, companies = source.choice(_MONEY), source.sample(_COMPANIES, 2)
    return {
        "lo": money.format(low),
        "hi": money.format(round(low * source.uniform(1.08, 2.5) + 0.1, 1)),
        "p": f"{source.uniform(2, 30):.1f} %",
        "q": f"{source.uniform(0.5, 2):.1f} %",
        "y": str(source.randint(2004, 2012)),
        "d4": str(source.randint(1, 5)),
        "d9": str(source.randint(6, 9)),
        "n2": str(source.randint(8, 30)),
        "n3": str(source.randint(50, 900)),
        "big": f"{source.randint(10, 200)},{source.randint(100, 999)},{source.randint(100, 999)}",
        "c": companies[0],
        "c2": companies[1],
    }


def _framed(text: str, source: random.Random) -> str:
    """Give a third of the sentences an opening, and leave another third without a full stop, as headlines are."""
    kind = source.random()
    if kind < 0.33:
        return f"{source.choice(_OPENINGS)}{text} ."
    return f"{text} ." if kind < 0.67 else text
