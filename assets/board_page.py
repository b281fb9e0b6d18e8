"""The honesty board as tables and as one HTML file."""

from collections.abc import Iterator, Sequence

from assets import html_page
from ml.agents.analyst import TONES
from ml.agents.vote_weights import VoteWeight, VoteWeights
from ml.track_record.board import Board, Judge
from ml.track_record.earnings import Earnings
from ml.track_record.scores import Score
from ml.track_record.value import Value
from trading.ports import DESK

HEAD = (
    "judge", "votes", "right", "95 %", "Brier", "skill", "net", "coin's", "holding", "USD each", "weighs",
    "not counted",
)  # fmt: skip
SCORE_HEAD = ("candles", "regime", "votes", "right", "95 %", "Brier", "skill", "base rate's", "mean return")
VALUE_HEAD = ("pair", "votes of", "candles", "trades", "earned, net", "fees", "largest drawdown")
WEIGHT_HEAD = (
    "judge", "regime", "weight", "windows", "votes", "right", "Brier", "base rate's", "skill",
)  # fmt: skip
CURVE_HEAD = ("forecast from", "votes", "forecast", "came true")
PAIR_HEAD = ("pair", "candles", "before costs", "net", "coin's", "95 % of coins below", "holding", "USD")
WORDS = (
    "A vote with a direction and confidence c is the forecast (1 + c) / 2 that the price goes its way. The base rate's "
    "Brier score is that of always forecasting the share of rises; skill is what is better than that: at 0 or below a "
    "judge adds nothing.",
    "Net is what a full position on the side of each vote earns from the next open to the one after it, less fee, "
    "spread and slippage, as a sum of shares over all pairs; the coin votes on the same candles. Cash earns 0.",
    "Votes of a language model on candles before its knowledge ends count nowhere: it may have read what followed.",
)  # fmt: skip

VALUE_WORDS = (
    "The decision back-tested with fewer votes: asked after the same candles, sized and protected by the same rules, "
    "net of fee, spread and slippage. Tones are those that were stored."
)


def judge_rows(board: Board) -> list[list[str]]:
    """Return a row of HEAD for each judge, on the shortest horizon."""
    return [_judge_row(judge, board.weights) for judge in board.judges]


def value_rows(values: Sequence[Value]) -> list[list[str]]:
    """Return a row of VALUE_HEAD for each set of votes."""
    return [
        [
            each.pair,
            each.variant,
            f"{each.candles}",
            f"{each.trades}",
            f"{each.earned:+.2%}",
            f"{each.fees:.2%}",
            f"{each.max_drawdown:.2%}",
        ]
        for each in values
    ]


def weight_rows(weights: VoteWeights) -> list[list[str]]:
    """Return a row of WEIGHT_HEAD for each record; one too short to count has no weight."""
    return [
        [
            f"{each.agent}, {each.model}" if each.model else each.agent,
            each.regime or "all",
            _in_words(each) if weights.counts(each) else "too short",
            f"{each.windows}",
            f"{each.votes}",
            f"{each.hit_rate:.1%}",
            f"{each.brier:.3f}",
            f"{each.base_brier:.3f}",
            f"{each.skill:+.3f}",
        ]
        for each in weights.weights
    ]


def board_page(board: Board, values: Sequence[Value] = ()) -> str:
    return html_page.page(
        "Honesty board",
        [
            html_page.paragraph(f"Outcomes known at {board.until:%Y-%m-%d %H:%M} UTC."),
            *(html_page.paragraph(words, note=True) for words in WORDS),
            html_page.table(HEAD, judge_rows(board)),
            *(part for judge in board.judges for part in _details(judge)),
            *_value(values),
            *_weights(board.weights),
        ],
    )


def _value(values: Sequence[Value]) -> Iterator[str]:
    if not values:
        return
    first, last = min(each.first for each in values), max(each.last for each in values)
    yield html_page.heading("What news add")
    yield html_page.paragraph(f"{VALUE_WORDS} {first:%Y-%m-%d} to {last:%Y-%m-%d}.", note=True)
    yield html_page.table(VALUE_HEAD, value_rows(values))


def _weights(weights: VoteWeights | None) -> Iterator[str]:
    if weights is None or not weights.weights:
        return
    yield html_page.heading("What past votes make of the next ones")
    yield html_page.paragraph(
        f"Over {weights.horizon} candles, by outcomes known at {weights.known_at:%Y-%m-%d %H:%M} UTC, version "
        f"{weights.version[:12]}. An entry's vote weighs by its confidence times this; a record on fewer than "
        f"{weights.minimum_windows} windows changes nothing, one no better than the base rate leaves no vote.",
        note=True,
    )
    yield html_page.table(WEIGHT_HEAD, weight_rows(weights))


def _details(judge: Judge) -> Iterator[str]:
    known = f"knowledge ends: {judge.cut_off}" if judge.cut_off else "has read nothing"
    span = (
        f"{judge.first:%Y-%m-%d} to {judge.last:%Y-%m-%d}" if judge.first and judge.last else "no vote counts"
    )
    yield html_page.folded(
        f"{judge.agent}, {judge.model}",
        [
            html_page.paragraph(f"{span}; {known}."),
            html_page.table(SCORE_HEAD, [_score_row(each) for each in (*judge.scores, *judge.by_regime)]),
            html_page.table(
                CURVE_HEAD,
                [
                    [
                        f"{each.from_forecast:.1f}",
                        f"{each.votes}",
                        f"{each.forecast:.2f}",
                        f"{each.hit_rate:.2f}",
                    ]
                    for each in judge.calibration
                ],
            ),
            html_page.table(PAIR_HEAD, [_pair_row(each) for each in judge.earnings]),
        ],
    )


def _judge_row(judge: Judge, weights: VoteWeights | None) -> list[str]:
    score = next(iter(judge.scores), None)
    measured = ["0", *["-"] * 4] if score is None else _measures(score)
    return [
        f"{judge.agent}, {judge.model}",
        *measured,
        *(_total(judge.earnings, name) for name in ("net", "random", "buy_and_hold")),
        _usd(judge.earnings),
        _weight(judge, weights),
        f"{judge.contaminated}" if judge.contaminated else "",
    ]


def _weight(judge: Judge, weights: VoteWeights | None) -> str:
    if judge.agent in (DESK, TONES) or weights is None:
        return ""
    record = weights.of(judge.agent, judge.model, None)
    return "1" if record is None else _in_words(record)


def _in_words(record: VoteWeight) -> str:
    return f"{record.weight:.2f}" if record.weight else "no vote"


def _measures(score: Score) -> list[str]:
    return [
        f"{score.votes}",
        f"{score.hit_rate:.1%}",
        f"{100 * score.hit_low:.0f} to {100 * score.hit_high:.0f}",
        f"{score.brier:.3f}",
        f"{score.skill:+.3f}",
    ]


def _score_row(score: Score) -> list[str]:
    context = [f"{score.horizon}", score.regime or "all"]
    return [*context, *_measures(score), f"{score.base_brier:.3f}", f"{score.mean_return:+.3%}"]


def _pair_row(earned: Earnings) -> list[str]:
    shares = (earned.gross, earned.net, earned.random, earned.random_high, earned.buy_and_hold)
    return [earned.pair, f"{earned.candles}", *(f"{each:+.2%}" for each in shares), f"{earned.usd:.4f}"]


def _total(earned: Sequence[Earnings], name: str) -> str:
    return f"{sum(getattr(each, name) for each in earned):+.2%}" if earned else "-"


def _usd(earned: Sequence[Earnings]) -> str:
    candles = sum(each.candles for each in earned)
    return f"{sum(each.usd for each in earned) / candles:.5f}" if candles else "-"
