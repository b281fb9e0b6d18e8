import dagster as dg
import psycopg
import psycopg2
import pytest
import sqlalchemy.exc

from orchestration.commands.failures import explained, interrupted
from trading.errors import NotStored


def test_an_error_of_ours_speaks_for_itself() -> None:
    assert explained(NotStored("materialise `ohlcv` first")) == "materialise `ohlcv` first"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), dg.DagsterExecutionInterruptedError()])
def test_ctrl_c_is_recognised_however_it_arrives(error: BaseException) -> None:
    assert interrupted(error)
    assert "run the same command again" in (explained(error) or "")


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
    assert "nothing that was committed is lost" in (explained(wrapped) or "")
    assert not interrupted(wrapped)


def test_a_mistake_of_ours_is_not_explained_away() -> None:
    assert explained(ZeroDivisionError()) is None
    assert explained(psycopg.errors.UndefinedColumn("ours")) is None
