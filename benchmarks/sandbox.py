"""The sandbox exchange: orders, messages and memory, each beside what lies under it.

Servers run in processes of their own, on this machine's loopback; clients are this process. Ours and the floor take
turns in one run, with the same clients.
"""

from benchmarks.row import Benchmark
from benchmarks.sandbox_messages import sandbox_memory, sandbox_messages
from benchmarks.sandbox_orders import sandbox_orders

BENCHMARKS: dict[str, Benchmark] = {
    "sandbox_orders": sandbox_orders,
    "sandbox_messages": sandbox_messages,
    "sandbox_memory": sandbox_memory,
}
