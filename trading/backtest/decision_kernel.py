"""Runs of equal targets, found in one look at the candles. Leaf module: importing it imports Numba.

Most candles decide nothing. So candles become bits, 64 in a word, and only bits that are set are visited.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from trading.backtest import compiling, lanes
from trading.backtest.compiling import cached_by, fingerprint, inlined
from trading.backtest.lanes import WORD, bits_set, equal, first_bit, flagged, known

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

ONE, LAST = np.uint64(1), np.uint64(WORD - 1)


@inlined
def _positions(words: Words) -> Integers:
    """Of the bits that are set, in order."""
    count = 0
    for word in words:
        count += bits_set(word)
    found = np.empty(count, np.int64)
    count = 0
    for number in range(words.size):
        word = words[number]
        while word:
            found[count] = number * WORD + first_bit(word)
            count += 1
            word &= word - ONE
    return found


@inlined
def _runs(decides: Words, goes_on: Words) -> tuple[Integers, Integers]:
    """First and last candle of each run, from what decides and what only goes on with the target before it."""
    begins, ends = np.empty_like(decides), np.empty_like(decides)
    for number in range(decides.size):
        following = goes_on[number + 1] if number + 1 < decides.size else np.uint64(0)
        begins[number] = decides[number] & ~goes_on[number]
        ends[number] = decides[number] & ~((goes_on[number] >> ONE) | (following << LAST))
    return _positions(begins), _positions(ends)


@inlined
def _last_word(flags: Flags) -> Flags:
    """What whole words leave over, and nothing after it."""
    rest = np.zeros(WORD, np.bool_)
    begin = flags.size // WORD * WORD
    for candle in range(begin, flags.size):
        rest[candle - begin] = flags[candle]
    return rest


def _flags_entry(sources: int) -> Callable[..., Any]:
    def runs_of_flags(entries: Flags, exits: Flags) -> tuple[Integers, Integers, Numbers]:
        """Target 1 where `entries` is set, otherwise 0 where `exits` is, both (n,)."""
        sources  # noqa: B018  part of the cache's key, see trading.backtest.compiling
        whole = entries.size // WORD
        last_entries, last_exits = _last_word(entries), _last_word(exits)
        decides, goes_on = np.empty(whole + 1, np.uint64), np.empty(whole + 1, np.uint64)
        before, entered_before = np.uint64(0), np.uint64(0)  # the candle before this word, in the lowest bit
        for number in range(whole + 1):
            if number < whole:
                enters, leaves = flagged(entries, number * WORD), flagged(exits, number * WORD)
            else:
                enters, leaves = flagged(last_entries, 0), flagged(last_exits, 0)
            decided = enters | leaves
            same = ~(enters ^ ((enters << ONE) | entered_before))
            decides[number] = decided
            goes_on[number] = decided & ((decided << ONE) | before) & same
            before, entered_before = decided >> LAST, enters >> LAST
        row, until = _runs(decides, goes_on)
        target = np.empty(row.size)
        for run in range(row.size):
            target[run] = 1.0 if entries[row[run]] else 0.0
        return row, until, target

    return runs_of_flags


def _targets_entry(sources: int) -> Callable[..., Any]:
    def runs_of_targets(target: Numbers) -> tuple[Integers, Integers, Numbers]:
        """From one target per candle (n,), NaN where nothing new is decided."""
        sources  # noqa: B018  part of the cache's key, see trading.backtest.compiling
        words = target.size // WORD + 1
        decides, goes_on = np.empty(words, np.uint64), np.empty(words, np.uint64)
        alone = np.empty(WORD + 1)
        for number in range(words):
            begin = number * WORD
            if 0 < begin <= target.size - WORD:
                decides[number] = known(target, begin)
                goes_on[number] = equal(target, begin, begin - 1)
            else:  # nothing before the first, nothing after the last
                for place in range(WORD + 1):
                    candle = begin + place - 1
                    alone[place] = target[candle] if 0 <= candle < target.size else np.nan
                decides[number] = known(alone, 1)
                goes_on[number] = equal(alone, 1, 0)
        row, until = _runs(decides, goes_on)
        wanted = np.empty(row.size)
        for run in range(row.size):
            wanted[run] = target[row[run]]
        return row, until, wanted

    return runs_of_targets


SOURCES = (compiling, lanes, sys.modules[__name__])
_flags = types.Array(types.boolean, 1, "C", readonly=True)
_numbers = types.Array(types.float64, 1, "C", readonly=True)
_found = types.Tuple((types.int64[::1], types.int64[::1], types.float64[::1]))  # type: ignore[no-untyped-call]
runs_of_flags = cached_by(_flags_entry(fingerprint(*SOURCES)), _found(_flags, _flags))
runs_of_targets = cached_by(_targets_entry(fingerprint(*SOURCES)), _found(_numbers))
