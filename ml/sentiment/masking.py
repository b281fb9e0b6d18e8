"""News without the names of assets: it reads the same whichever asset it is about."""

import re

from ml.news.entities import replace_names

_LABEL = re.compile(r"^\s*\[[^\]]*\]\s*")  # "[simulated] ...", "[video] ..."
_REPEATED = re.compile(r"\bBitcoin(?:(?:,| and|/|, and| &) Bitcoin)+\b")


def mask_assets(text: str) -> str:
    """Name every asset Bitcoin and drop a label in front."""
    return _REPEATED.sub("Bitcoin", replace_names(_LABEL.sub("", text), "Bitcoin"))
