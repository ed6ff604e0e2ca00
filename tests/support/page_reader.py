"""Reads an HTML page back: its tags, the text of its sections and tables, and the addresses it refers to."""

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "image", "use", "input"}
ADDRESSES = {"src", "href", "xlink:href", "action", "data", "srcset", "poster"}


class PageReader(HTMLParser):
    """After `feed` and `close`: `tags`, `tables` (rows of cell texts), `text`, `addresses`, `ids`, `unbalanced`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def addresses(self) -> list[str]:
        return [value or "" for _, attrs in self.attributes for name, value in attrs.items() if name in ADDRESSES]

    @property
    def ids(self) -> list[str]:
        return [attrs["id"] or "" for _, attrs in self.attributes if "id" in attrs]

    def table_with(self, *headings: str) -> list[list[str]]:
        """The first table whose first row holds all of `headings`."""
        for table in self.tables:
            if set(headings) <= {" ".join(cell.split()) for cell in table[0]}:
                return [[" ".join(cell.split()) for cell in row] for row in table]
        raise AssertionError(f"no table is headed {headings}: {[table[0] for table in self.tables]}")


def read(page: str) -> PageReader:
    """Parse a page."""
    reader = PageReader()
    reader.feed(page)
    reader.close()
    return reader
