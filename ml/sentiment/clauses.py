"""The part of a headline that is about one asset: `Bitcoin falls while Ethereum rises` says two things."""

import re

from ml.news.entities import find_assets

_MAX_SENTENCE = 300  # characters: contrasts are read in titles and short openings, not across an article
_CONTRAST = re.compile(
    r"\s*;\s*|(?<!\bas well)(?<!\bas much),?\s+(?:even\s+as|just\s+as|while|whereas|although|though|but|as)"
    r"\s+(?!well\b|of\b|a\b|an\b|the\b|much\b|soon\b)",
    re.IGNORECASE,
)


def reading_of(asset: str, text: str) -> str:
    """Return the clauses that name the asset, or the whole text where clauses do not tell assets apart.

    They do where two clauses each name assets and none is named in both, so that each clause speaks of its own.
    A clause that names nothing (`as traders flee`) belongs to all.
    """
    clauses = [clause for clause in _CONTRAST.split(text[:_MAX_SENTENCE]) if clause.strip()]
    named = [find_assets(clause, text) for clause in clauses]
    owners = [assets for assets in named if assets]
    if len(owners) < 2 or len(set().union(*owners)) != sum(map(len, owners)):
        return text
    if not any(asset in assets for assets in owners):
        return text
    return ", ".join(
        clause for clause, assets in zip(clauses, named, strict=True) if not assets or asset in assets
    )
