"""The ports in memory: real classes with the same promises, for tests and notebooks. Gone with the process."""

from tests.doubles.stores.journal import MemoryJournal
from tests.doubles.stores.news import MemoryNews
from tests.doubles.stores.performance import MemoryPerformance
from tests.doubles.stores.promotions import MemoryPromotions
from tests.doubles.stores.table import MemoryTable

__all__ = ["MemoryJournal", "MemoryNews", "MemoryPerformance", "MemoryPromotions", "MemoryTable"]
