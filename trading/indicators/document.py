"""The page docs/features.md, written from the registry: what every column of the feature table is."""

from trading.indicators.feature import SEED_WEIGHT, Family, Feature, GapRule, WarmUp
from trading.indicators.registry import FEATURES, MEMORY, POLICY_FEATURES, lookback
from trading.market import Timeframe

_INTRODUCTION = f"""\
# Features

Written by `python -m trading.indicators > docs/features.md`; change the registry in `trading/indicators/`, not this
page.

The feature table has one row per closed candle: `open_time`, `close_time`, `known_at`, the {len(FEATURES)} numbers
below and `regime`, the regime with the largest weight, in words. A row uses its own candle and earlier ones. All
numbers are free of the scale of prices and volumes. A number is null inside its warm-up, counted in candles, and,
where another pair is compared with, while that pair is not known; everywhere else it is finite. The warm-up of an
average that remembers all of history ends where less than {SEED_WEIGHT:.1%} of the value it began with is left: from
there on another start of history moves no feature by more than a hundredth of its spread. A policy observes
the {len(POLICY_FEATURES)} numbers that the pair's own candles suffice for.

Recursive averages remember all of history, ever less of it: {MEMORY:,} candles before a row make it what all of
history would make it, to 1e-9. With the windows that follow the clock a row takes this many candles before it:
{{lookbacks}}."""

_LIVE = """\
## As candles close

`marketloom stream` computes the same row as soon as a candle closes, for every pair and timeframe of `[stream]
timeframes`, stores it in PostgreSQL (`market_features`) and puts it on the topic `features`. It is what `live_row`
says of the last candles, bit for bit, and the table's row to 1e-9. The candles that it begins with come from the lake
(longer timeframes are composed of its candles), from `market_data` and from the bus; while they are fewer than the
longest warm-up there is no row.

A row waits up to five seconds for the candles of the same close of the pairs that it compares with. Without them it is
computed all the same, and again when they come. Every correction is a new revision with its own `known_at`: also
where a candle was restated, or came late, for the rows of the three days before the newest. A revision is never
overwritten, and one that says the same is not stored again. In a stored row `known_at` is when the newest revision of
its candles became known."""

_RULES = {
    GapRule.EXISTING: "existing candles",
    GapRule.UTC_DAY: "UTC day",
    GapRule.HIGHER_TIMEFRAME: "higher timeframe",
    GapRule.CLOCK_BLOCK: "block",
    GapRule.AS_OF: "as of",
    GapRule.SAME_ROW: "same row",
}


def document() -> str:
    """Return the page as Markdown."""
    sections = [_INTRODUCTION.format(lookbacks=_by_timeframe(lookback)), _rules(), _LIVE]
    return "\n\n".join([*sections, *map(_section, Family)]) + "\n"


def _rules() -> str:
    lines = [f"* **{name}**: {rule.value}." for rule, name in _RULES.items()]
    return "\n".join(["## Missing candles and candles without trades", "", *lines])


def _section(family: Family) -> str:
    head = ["| feature | unit | warm-up | formula | source | gaps |", "| --- | --- | --- | --- | --- | --- |"]
    rows = [_row(feature) for feature in FEATURES if feature.family is family]
    return "\n".join([f"## {family.value.capitalize()}", "", *head, *rows])


def _row(feature: Feature) -> str:
    warm_up = _by_timeframe(feature.warm_up_for)
    cells = (feature.unit, warm_up, feature.formula, feature.source, _RULES[feature.gaps])
    return f"| `{feature.name}` | {' | '.join(cells)} |"


def _by_timeframe(count: WarmUp) -> str:
    """One number where all timeframes agree."""
    counts = {timeframe: count(timeframe) for timeframe in Timeframe}
    if len(set(counts.values())) == 1:
        return f"{counts[Timeframe.M1]:,}"
    return ", ".join(f"{timeframe.value} {number:,}" for timeframe, number in counts.items())
