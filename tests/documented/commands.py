"""What the documentation tells people to type, taken from the pages as it is printed there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/aws.md",
    *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/operating/*.md")),
]
PROGRAM = re.compile(
    r"(\.venv/bin/|ansible(-\w+)? |aws |curl |docker |journalctl |kill |make |molecule |rm "
    r"|scripts/|ssh |sudo |systemctl |while )"
)
OWN = re.compile(r"(ask|send) |[a-z]+=\S|[a-z]+\(\) \{")
"""How a line begins that uses or makes a name of the page's own."""


@dataclass(frozen=True)
class Block:
    """Lines that are set off and typed one after the other."""

    page: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Each command in one line, without its comment."""
        lines: list[str] = []
        for line in map(without_comment, self.text.splitlines()):
            before = lines[-1] if lines else ""
            if before.endswith("\\"):
                lines[-1] = before[:-1] + line
            elif before.count("'") % 2:
                lines[-1] = f"{before} {line}"
            else:
                lines.append(line)
        return lines


def without_comment(line: str) -> str:
    """A line as it is typed, with single spaces."""
    return " ".join(re.sub(r"\s+# .*", "", line).split(" ")).strip()


def blocks(page: str) -> list[Block]:
    """What a page sets off to be typed: output, formulas and files are something else."""
    found: list[list[str]] = []
    together = False
    for paragraph in re.split(r"\n\s*\n", (ROOT / page).read_text()):
        lines = paragraph.strip("\n").splitlines()
        if not all(re.match(r" {4,}\S", line) for line in lines):
            together = False
            continue
        typed = [line.strip() for line in lines]
        if not (PROGRAM.match(typed[0]) or OWN.match(typed[0])):
            continue
        if together:
            found[-1] += typed
        else:
            found.append(typed)
        together = True
    return [Block(page, "\n".join(lines)) for lines in found]


def inline(page: str) -> list[str]:
    """What stands between backquotes in a sentence or a table and is typed whole."""
    text = (ROOT / page).read_text()
    found = [item for item in re.findall(r"`([^`\n]+)`", text) if PROGRAM.match(item)]
    return [without_comment(item) for item in found]


def block(page: str, first: str) -> Block:
    """The one block of a page that begins so; a test that types it fails if there is none."""
    [found] = [item for item in blocks(page) if item.text.startswith(first)]
    return found
