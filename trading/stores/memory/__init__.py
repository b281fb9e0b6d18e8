"""The ports in memory: real classes with the same promises, for tests and notebooks. Gone with the process."""

from trading.stores.memory.journal import MemoryJournal
from trading.stores.memory.news import MemoryNews
from trading.stores.memory.performance import MemoryPerformance
from trading.stores.memory.promotions import MemoryPromotions
from trading.stores.memory.table import MemoryTable

__all__ = ["MemoryJournal", "MemoryNews", "MemoryPerformance", "MemoryPromotions", "MemoryTable"]
