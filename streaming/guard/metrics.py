"""Figures of the guard, in the stream's registry: docs/guard.md lists them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "marketloom_guard"
SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5)


class GuardMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.cycle_seconds = Histogram(
            f"{PREFIX}_cycle_seconds",
            "Work of one look at all positions.",
            registry=registry,
            buckets=SECONDS,
        )
        self.late_seconds = Histogram(
            f"{PREFIX}_late_seconds", "By which a look began too late.", registry=registry, buckets=SECONDS
        )
        self.blind = Counter(
            f"{PREFIX}_blind",
            "Looks that could not see a pair, by reason.",
            ["pair", "reason"],
            registry=registry,
        )
        self.exits = Counter(
            f"{PREFIX}_exits",
            "Positions that got a reason to be closed.",
            ["pair", "cause"],
            registry=registry,
        )
        self.trails = Counter(f"{PREFIX}_trails", "Stops that were moved.", ["pair"], registry=registry)
        self.halts = Counter(f"{PREFIX}_halts", "Halts that were begun.", ["kind"], registry=registry)
        self.errors = Counter(
            f"{PREFIX}_errors",
            "Work in threads that failed and was tried again.",
            ["errand"],
            registry=registry,
        )
        self.positions = Gauge(f"{PREFIX}_positions", "Open positions under watch.", registry=registry)
        self.equity = Gauge(
            f"{PREFIX}_equity", "Value of the account at the newest quotes.", registry=registry
        )
        self.minutes = Counter(
            f"{PREFIX}_minutes",
            "Minutes of the balance history that were written, by whether every price was known.",
            ["priced"],
            registry=registry,
        )
        self.switch = Gauge(
            f"{PREFIX}_switch", "1 for the state of the dead man's switch.", ["state"], registry=registry
        )
        self.switch_calls = Counter(
            f"{PREFIX}_switch_calls", "Times that the dead man's switch was set.", ["to"], registry=registry
        )
