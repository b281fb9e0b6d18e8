"""Pages of HTML that need nothing outside themselves."""

from html.parser import HTMLParser

from assets import html_page

NASTY = "<script>alert('x')</script> & \"quotes\""


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.references += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")
        ]


def seen(html: str) -> Seen:
    parser = Seen()
    parser.feed(html)
    return parser


def whole() -> str:
    chart = html_page.chart(NASTY, [1, 2, 3], {NASTY: [1.0, 2.0, 1.5], "b": [1.0, 1.0, 1.0]})
    return html_page.page(
        NASTY,
        [
            html_page.heading(NASTY),
            html_page.paragraph(NASTY, note=True),
            html_page.bullets([NASTY]),
            html_page.preformatted(NASTY),
            html_page.table([NASTY], [[NASTY]], scrolls=True),
            html_page.shaded_table(["month", NASTY], [["2020", 0.1], [NASTY, None]], 0.1),
            chart,
        ],
    )


def test_no_text_becomes_markup() -> None:
    assert "script" not in seen(whole()).names
    assert "<script" not in whole()


def test_a_page_refers_to_nothing_outside_itself() -> None:
    outside = [reference for reference in seen(whole()).references if not reference.startswith("#")]
    assert not outside


def test_the_same_chart_is_the_same_bytes() -> None:
    draw = [html_page.chart("equity", [1, 2, 3], {"a": [1.0, 2.0, 1.0]}, fill=True) for _ in range(2)]
    assert draw[0] == draw[1]


def test_gains_are_green_losses_red_and_nothing_is_blank() -> None:
    html = html_page.shaded_table(["year", "a", "b", "c"], [["2020", 0.05, -0.2, None]], 0.1)
    assert "rgba(46,160,67,0.30)" in html
    assert "rgba(218,54,51,0.60)" in html
    assert "+5.0" in html
    assert "-20.0" in html
    assert "<td></td>" in html


def test_a_table_wider_than_a_telephone_scrolls_by_itself_and_not_the_page() -> None:
    rule = html_page.STYLE.partition("@media(max-width:66rem)")[2].splitlines()[0]
    assert rule == "{table{display:block;overflow-x:auto}}"
