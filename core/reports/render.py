"""From a document to HTML and PDF: one template, and a renderer that reads nothing but what is in its hands.

The HTML is complete in itself: no script, no picture, style sheet or font from elsewhere. The PDF comes from the same template;
its fonts are embedded. The renderer's every wish for a file or an address goes through :class:`_Nothing`, which knows two fonts and
refuses the rest, so that a text which became markup by a mistake of ours could still read no file and call no host.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from core.reports.document import LEVELS, Document, say_time
from core.reports.reports import say_kind
from core.reports.words import shown

LOG = logging.getLogger("greenlight.reports")

# Addresses by which the renderer asks for the fonts: no such host exists (RFC 2606), they are never looked up.
_PLACE = "https://fonts.invalid/"
_FILES = {"regular": "SourceSansVF-Upright*.woff2", "bold": "SourceSansVF-Upright*.woff2", "mono": "SourceCodeVF-Upright*.woff2"}
_LONG_WORD = 24
# The library draws on fonts that are shared by all threads.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Standing:
    """What a report stands on, besides what it says: who made it, and where the audit was then.

    Attributes
    ----------
    count, head : int, str
        Number and hash of the last audit event before the report.
    """

    made_at: str
    made_by: str
    count: int
    head: str


def render_html(document: Document, standing: Standing) -> str:
    """The report as one HTML page."""
    return _render(document, standing, fonts=())


def render_pdf(document: Document, standing: Standing) -> bytes | None:
    """The report as PDF (A4), or None where nothing could be drawn: without any font its pages would be empty.

    Raises
    ------
    RuntimeError
        The template asked for a file or an address. That is a bug, and the PDF is not used.
    """
    import plutoprint

    fonts = _find_fonts()
    fetcher = _make_fetcher(fonts)
    page = _render(document, standing, fonts=tuple(fonts))
    out = BytesIO()
    with _ONE_AT_A_TIME:
        book = plutoprint.Book(plutoprint.PAGE_SIZE_A4, plutoprint.PAGE_MARGINS_NORMAL, plutoprint.MEDIA_TYPE_PRINT)
        book.custom_resource_fetcher = fetcher
        book.load_html(page)
        book.set_metadata(plutoprint.PDF_METADATA_TITLE, shown(document.title))
        book.set_metadata(plutoprint.PDF_METADATA_CREATOR, "Greenlight")
        # the moment of the report, not of the drawing: the same report is the same bytes
        for date in (plutoprint.PDF_METADATA_CREATION_DATE, plutoprint.PDF_METADATA_MODIFICATION_DATE):
            book.set_metadata(date, standing.made_at[:19] + "Z")
        book.write_to_pdf_stream(out)
    if fetcher.refused:
        raise RuntimeError(f"A report asked for {fetcher.refused[0][:100]!r}; reports read nothing from elsewhere.")
    found = out.getvalue()
    if b"/FontFile" not in found:
        LOG.error("The PDF of a report has no font; install one (fonts-dejavu-core, for example). The HTML is kept.")
        return None
    return found


def _render(document: Document, standing: Standing, *, fonts: tuple[str, ...]) -> str:
    sign, word = LEVELS[document.level]
    return _environment().get_template("report.html").render(
        d=document, standing=standing, sign=sign, word=word, fonts={name: _PLACE + name for name in fonts},
        made=say_time(standing.made_at), kind=say_kind(document.kind, document.subject),
    )  # fmt: skip


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
        # whatever is written into the page passes here; only the pictures, which escape their own words, are markup
        finalize=lambda value: value if isinstance(value, Markup) else shown(value),
    )  # fmt: skip
    environment.filters["picture"] = Markup
    environment.filters["cell"] = lambda value: _let_break(shown(value))
    environment.filters["time"] = say_time
    environment.filters["css"] = _quote_css
    return environment


def _let_break(text: str) -> str | Markup:
    """``text`` with places at which very long words may break; a column must not push its neighbours off the page."""
    words = text.split(" ")
    if all(len(word) <= _LONG_WORD for word in words):
        return text
    pieces = (Markup("<wbr>").join(word[k : k + _LONG_WORD] for k in range(0, len(word), _LONG_WORD)) for word in words)
    return Markup(" ").join(pieces)


def _quote_css(text: object) -> Markup:
    """``text`` inside a string of CSS: everything but letters and digits as its number."""
    return Markup("".join(c if c.isascii() and c.isalnum() else f"\\{ord(c):06x}" for c in shown(text)))  # noqa: S704


@lru_cache(maxsize=1)
def _find_fonts() -> dict[str, Path]:
    """Name -> font file. They are the console's own, which come with Streamlit; without them the system's fonts are used."""
    spec = importlib.util.find_spec("streamlit")
    folder = Path(spec.origin).parent / "static" / "static" / "media" if spec is not None and spec.origin else None
    if folder is None:
        return {}
    found = {name: next(iter(sorted(folder.glob(pattern))), None) for name, pattern in _FILES.items()}
    return {name: path for name, path in found.items() if path is not None}


@lru_cache(maxsize=1)
def _fetcher_class() -> type:
    import plutoprint

    class Nothing(plutoprint.ResourceFetcher):
        """Gives the fonts, and nothing else."""

        def __init__(self, fonts: dict[str, Path]) -> None:
            super().__init__()
            self.fonts = fonts
            self.refused: list[str] = []

        def fetch_url(self, url: str) -> plutoprint.ResourceData:
            name = url.removeprefix(_PLACE)
            if url.startswith(_PLACE) and name in self.fonts:
                # read by the library itself: it keeps fonts until the process ends, and bytes of Python's would be gone by then
                return plutoprint.default_resource_fetcher.fetch_url(self.fonts[name].as_uri())
            self.refused.append(url)
            return plutoprint.ResourceData(b"", "text/plain", "utf-8")

    return Nothing


def _make_fetcher(fonts: dict[str, Path]) -> Any:
    return _fetcher_class()(fonts)  # the class is made where the library is imported
