"""Names from files and records as texts that a report can hold."""

import re
from typing import Any


def as_text(value: Any) -> str:
    """Return a value as text that can be written to a file; what is no Unicode becomes a question mark."""
    return str(value).encode(errors="replace").decode()


def markdown(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return re.sub(r"([\\`*\[\]<])", r"\\\1", text)


def markdown_code(text: str) -> str:
    """Return a text as code in Markdown, on one line."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{' '.join(text.splitlines())}{space}{fence}"
