"""Where the data come from, as external assets: lineage begins at the source and not at what was stored of it."""

import dagster as dg

CANDLES, NEWS = dg.AssetKey("candle_source"), dg.AssetKey("news_source")


def external_sources(candles: str, news: str) -> list[dg.AssetSpec]:
    """Describe the sources; `candles` and `news` say in words what they are."""
    return [
        dg.AssetSpec(
            CANDLES,
            description=f"{candles}: not made here, candles are read from it. Chosen by [market] source.",
            group_name="sources",
            owners=["team:market"],
            kinds={"api"},
        ),
        dg.AssetSpec(
            NEWS,
            description=f"{news}: not made here, articles are read from it. Chosen by [market] news.",
            group_name="sources",
            owners=["team:research"],
            kinds={"file"},
        ),
    ]
