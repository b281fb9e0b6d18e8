import dagster as dg
import psycopg
import psycopg2
import pytest
import sqlalchemy.exc

from orchestration.commands.failures import failure_message, is_interrupt
from trading.errors import NotStored


def test_an_error_of_ours_speaks_for_itself() -> None:
    assert failure_message(NotStored("no decision 1f0c2ab7")) == "no decision 1f0c2ab7"


def test_what_is_not_materialised_yet_says_how_one_materialises() -> None:
    said = failure_message(NotStored("no candles: materialise `ohlcv` first")) or ""
    assert said.startswith("no candles: materialise `ohlcv` first; `marketloom dev` opens the UI")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), dg.DagsterExecutionInterruptedError()])
def test_ctrl_c_is_recognised_however_it_arrives(error: BaseException) -> None:
    assert is_interrupt(error)
    assert "run the same command again" in (failure_message(error) or "")


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("gone"),
        psycopg2.OperationalError("gone"),
        sqlalchemy.exc.OperationalError("select", None, Exception("gone")),
    ],
)
def test_a_database_that_went_away_is_explained_also_from_deep_inside(error: Exception) -> None:
    wrapped = RuntimeError("a step failed")
    wrapped.__cause__ = error
    assert "nothing that was committed is lost" in (failure_message(wrapped) or "")
    assert not is_interrupt(wrapped)


def test_a_mistake_of_ours_is_not_explained_away() -> None:
    assert failure_message(ZeroDivisionError()) is None
    assert failure_message(psycopg.errors.UndefinedColumn("ours")) is None
