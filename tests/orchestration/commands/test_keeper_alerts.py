"""What the keeper tells of its own work: each problem once while it stands, also one that PostgreSQL was away in."""

from orchestration.commands.keeper_alerts import StandingProblems, publish_alert
from streaming.bus.postgres import PostgresBus
from streaming.messages import ALERTS, AlertMessage, decode
from trading.errors import StoreUnreachable

LATE = "entry: buy 500 XRP/USDT is intended: RateLimited: again in {} s"


class Published:
    def __init__(self) -> None:
        self.away = False
        self.alerts: list[tuple[str, str]] = []

    def __call__(self, severity: str, text: str) -> None:
        if self.away:
            raise StoreUnreachable("PostgreSQL is away")
        self.alerts.append((severity, text))


def test_a_problem_is_told_once_while_it_stands_and_that_it_is_solved() -> None:
    published = Published()
    problems = StandingProblems(published)
    problems.note("orders", [])
    for seconds in (4, 3.5, 2):
        problems.note("orders", [LATE.format(seconds)])
    problems.note("reconciliation", [])  # other work has no say in it
    problems.note("orders", [LATE.format(1), "another one"])
    for _ in range(2):
        problems.note("orders", [])
    assert published.alerts == [
        ("warning", "orders: " + LATE.format(4)),
        ("warning", "orders: another one"),
        ("info", "orders: everything works again"),
    ]


def test_what_could_not_be_told_is_told_once_postgresql_is_back() -> None:
    published = Published()
    problems = StandingProblems(published)
    published.away = True
    for _ in range(3):
        problems.note("orders", ["PostgreSQL does not answer"])
    published.away = False
    problems.note("orders", [])
    assert published.alerts == [
        ("warning", "orders: PostgreSQL does not answer"),
        ("info", "orders: everything works again"),
    ]


def test_an_alert_of_the_keeper_is_on_the_bus(dsn: str) -> None:
    publish_alert(dsn, "account", "warning", "orders: it rains", about="")
    publish_alert(dsn, "daemons", "error", "two of them")
    reader = PostgresBus(dsn).reader([ALERTS], from_start=True)
    rain, two = [decode(each, AlertMessage) for each in reader.poll(10, 0)]
    reader.close()
    assert (rain.source, rain.kind, rain.severity, rain.about) == ("keeper", "account", "warning", "")
    assert two.about.startswith("daemons ")
