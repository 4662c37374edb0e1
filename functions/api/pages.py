"""Pages for people: static, complete in themselves, and allowed to run nothing but what stands in them."""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from functions.api.routes import PAGES, Route

FOLDER = Path(__file__).parents[2] / "console"
MAX_AGE_S = 300  # a new page is seen that long after a deployment
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Page:
    text: str
    headers: Mapping[str, str]


def load(folder: Path = FOLDER) -> Mapping[Route, Page]:
    """Every page, by its row. Raises: OSError when a file is missing, which ends a function's start."""
    return {row: page(folder.joinpath(row.function).read_text(encoding="utf-8")) for row in PAGES}


def page(text: str) -> Page:
    """The page with the headers that bind a browser to it. Outputs lie at S3, so that images may come from anywhere."""
    inline = {kind: _hash(content) for kind, content in _INLINE.findall(text)}
    rules = {
        "default-src": "'none'",
        "script-src": inline.get("script", "'none'"),
        "style-src": inline.get("style", "'none'"),
        "connect-src": "'self'",
        "img-src": "https: http:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return Page(
        text,
        {
            "Content-Type": "text/html; charset=utf-8",
            "Cache-Control": f"public, max-age={MAX_AGE_S}",
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in rules.items()),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
