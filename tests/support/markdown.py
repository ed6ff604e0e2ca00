"""What a Markdown page holds, as far as the checks of our own pages need it."""

import re
from dataclasses import dataclass

FENCE = "```"
COMMAND = re.compile(r"(?:\.venv/bin/|\(?cd |make\b|fedefm |nvflare |python3? |docker |KIT=)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: the word behind the fence, often none.
        lines: what stands between the fences.
        first: number of its first line in the page, from 1.
    """

    language: str
    lines: tuple[str, ...]
    first: int

    @property
    def has_commands(self) -> bool:
        """Whether a reader would type a line of it."""
        return any(COMMAND.match(line) for line in self.lines)


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page."""
    found, lines, start = [], text.splitlines(), None
    for number, line in enumerate(lines, 1):
        if line.startswith(FENCE) and start is None:
            start = number
        elif line.startswith(FENCE):
            found.append(Block(lines[start - 1][len(FENCE) :], tuple(lines[start : number - 1]), start + 1))
            start = None
    assert start is None, f"the fence of line {start} is never closed"
    return found


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    inside = {n for block in blocks(text) for n in range(block.first - 1, block.first + len(block.lines) + 1)}
    return "\n".join(line for number, line in enumerate(text.splitlines(), 1) if number not in inside)


def code_spans(text: str) -> list[str]:
    """Inline code, on one line each."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]


def links(text: str) -> list[str]:
    """Targets of links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(text))


def anchors(text: str) -> set[str]:
    """The names that headings can be linked by, as the code host makes them."""
    headings = re.findall(r"^#+ +(.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str, program: str) -> list[str]:
    """Lines of fenced blocks that begin with a program, from `.venv/bin` or not; continued lines joined."""
    found = []
    for block in blocks(text):
        joined = "\n".join(block.lines).replace("\\\n", " ")
        found += re.findall(rf"^(?:\.venv/bin/)?({program} [^\n]+)", joined, re.MULTILINE)
    return found
