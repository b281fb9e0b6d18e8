"""Headlines of our own that say the obvious in plain words, so that no quirk of a labelled set can unlearn it.

People who labelled a set may call `XRP rallies` neutral; a desk does not. Made of parts, the same every time.
"""

from itertools import product

_SUBJECTS = ("Bitcoin", "Bitcoin price", "Crypto market", "Bitcoin and altcoins")
_UP = (
    "rallies", "climbs", "rises", "jumps", "soars", "gains", "surges to a new high", "rebounds", "hits record high",
    "extends gains", "rallies as buyers return", "breaks out above resistance", "recovers from losses",
)  # fmt: skip
_DOWN = (
    "falls", "slumps", "drops", "plunges", "tumbles", "slides", "crashes to a new low", "sinks", "hits yearly low",
    "extends losses", "falls as sellers return", "breaks down below support", "gives up its gains",
)  # fmt: skip
_FLAT = (
    "trades sideways", "is little changed", "holds steady", "trades in a narrow range", "is flat",
    "waits for direction",
)  # fmt: skip
_GOOD = (
    "Analysts turn bullish on Bitcoin", "Strong inflows into Bitcoin funds", "Bitcoin adoption grows",
    "Large bank starts to offer Bitcoin to its clients", "Court rules in favour of Bitcoin fund",
    "Regulator approves Bitcoin fund", "Country lifts its ban on Bitcoin", "Retailer accepts Bitcoin payments",
    "Company adds Bitcoin to its treasury", "Bitcoin upgrade goes live without trouble",
)  # fmt: skip
_BAD = (
    "Analysts turn bearish on Bitcoin", "Heavy outflows from Bitcoin funds", "Bitcoin adoption shrinks",
    "Large bank stops offering Bitcoin to its clients", "Court rules against Bitcoin fund",
    "Regulator rejects Bitcoin fund", "Country bans Bitcoin", "Retailer stops accepting Bitcoin payments",
    "Company sells all its Bitcoin at a loss", "Bitcoin exchange is hacked and funds are stolen",
)  # fmt: skip
_DULL = (
    "Five charts of Bitcoin to look at this week", "What is Bitcoin and how does it work",
    "Developers of Bitcoin publish notes of their meeting", "Conference about Bitcoin opens on Monday",
    "How to store your Bitcoin", "A short history of Bitcoin", "Bitcoin exchange appoints new head of marketing",
    "Interview: the early days of Bitcoin", "Bitcoin options expire on Friday", "Bitcoin price analysis for today",
)  # fmt: skip


def anchors() -> tuple[list[str], list[int]]:
    """Return texts and their labels (0 negative, 1 neutral, 2 positive)."""
    moves = [
        (f"{subject} {verb}", label)
        for label, verbs in ((0, _DOWN), (1, _FLAT), (2, _UP))
        for subject, verb in product(_SUBJECTS, verbs)
    ]
    plain = [(text, label) for label, texts in ((0, _BAD), (1, _DULL), (2, _GOOD)) for text in texts]
    texts, labels = zip(*moves, *plain, strict=True)
    return list(texts), list(labels)
