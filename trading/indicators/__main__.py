"""Print docs/features.md."""

from trading.indicators.document import document

if __name__ == "__main__":
    print(document(), end="")
