"""What a company's figures say: which moved, which way, and whether more of it is good."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.sentiment.results import result_of


@pytest.mark.parametrize(
    "text",
    [
        "Net sales grew by 5 % in the quarter",
        "Operating profit rose to EUR 13.1 mn from EUR 8.7 mn",
        "The net loss narrowed to EUR 2 million",
        "Operating loss was EUR 2.1 mn , compared to a loss of EUR 3.4 mn",
        "Profit was EUR 0.1 mn , compared to EUR -0.4 mn in the previous year",
        "The shipyard swung to a net profit of $ 3 million from a loss",
        "Costs fell clearly",
        "The loss was EUR 1 mn , a slight improvement on last year",
        "Sales fell , while operating profit improved",  # the owners' profit speaks
    ],
)
def test_a_figure_that_moved_for_the_better_is_good(text: str) -> None:
    assert result_of(text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Net sales decreased by 5 % due to lower costs of steel",
        "Operating profit fell to EUR 8.7 mn from EUR 13.1 mn",
        "Operating loss totalled EUR 0.8 mn , compared to a profit of EUR 0.5 mn",
        "EBIT was EUR 3 mn , against EUR 5 mn a year ago",
        "The bank slipped to a net loss of EUR 2 million from a profit of EUR 6 million",
        "Expenses rose sharply",
        "Operating profit fell although net sales increased",
        "Net sales were EUR 5 mn ( USD 9 mn ) , versus EUR 6 mn",  # the amount in brackets is the same in dollars
    ],
)
def test_a_figure_that_moved_for_the_worse_is_bad(text: str) -> None:
    assert result_of(text) == -1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The company had net sales of EUR 12 mn in 2009",
        "Net sales of 2010 are compared with 2009",  # years are no amounts
        "The number of shares increases by 391,000",
        "The sales office moves up to the fifth floor",
        "Regulator orders banks to cut off exchanges",
        "Net profit was EUR 5 mn , compared with EUR 5 mn a year ago",
    ],
)
def test_where_no_figure_moved_there_is_no_result(text: str) -> None:
    assert result_of(text) == 0


@given(st.text(max_size=200))
@settings(max_examples=60, deadline=None)
def test_no_text_however_strange_breaks_the_reading(text: str) -> None:
    assert result_of(f"profit {text} compared to {text} loss") in (-1, 0, 1)
