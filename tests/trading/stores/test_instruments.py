from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from trading.errors import NotStored, UnreadableFile
from trading.market import Instrument, Pair, PairStatus
from trading.stores.instruments import InstrumentFile

BTC = Instrument(
    Pair("BTC", "USDT"), Decimal("0.1"), Decimal("1e-8"), Decimal("0.00005"), Decimal("0.5"), Decimal("0.0026"),
    Decimal("0.0016"), PairStatus.POST_ONLY,
)  # fmt: skip


def test_what_was_written_is_read_back_exactly(tmp_path: Path) -> None:
    file = InstrumentFile(tmp_path / "deep" / "instruments.json")
    other = replace(BTC, pair=Pair("XRP", "BTC"), price_increment=Decimal("0.00000001"))
    file.write([BTC, other])
    assert file.read() == {BTC.pair: BTC, other.pair: other}


def test_writing_replaces_all_of_them(tmp_path: Path) -> None:
    file = InstrumentFile(tmp_path / "instruments.json")
    file.write([BTC])
    file.write([])
    assert file.read() == {}


def test_the_error_before_the_first_write_names_what_to_materialise(tmp_path: Path) -> None:
    with pytest.raises(NotStored, match="materialise `instruments` first"):
        InstrumentFile(tmp_path / "instruments.json").read()


@pytest.mark.parametrize("text", ["", "not json", "[1]", '[{"pair": "BTC/USDT"}]', '{"a": 1}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "instruments.json"
    path.write_text(text)
    with pytest.raises(UnreadableFile, match=str(path)):
        InstrumentFile(path).read()
