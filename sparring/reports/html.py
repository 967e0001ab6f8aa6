"""A self-contained HTML page: its frame, its style, and its elements (lists of facts, tables and images).

It has no scripts and loads nothing: images are data URIs, and its content security policy allows nothing else. All text
arguments are escaped, except the rows of a table and the caption of an image, which are HTML.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from sparring.images import Images, grid, grid_scale, picture
from sparring.reports import charts
from sparring.terminal.output import html_escaped as escape

PAGE, STYLE = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("page.html", "page.css"))
MAX_SIDE = 640
"""Pixels on the longer side of a sheet."""


def whole(title: str, sections: Sequence[str]) -> str:
    """Return the page with these sections. Empty ones are left out."""
    body = "\n".join(section for section in sections if section)
    return PAGE.format(title=escape(title), style=STYLE + charts.STYLE, body=body)


def facts(pairs: Sequence[tuple[str, str]], kind: str) -> str:
    """Return names and values as a description list."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="{kind}">{items}</dl>'


def table(columns: Sequence[str], rows: str, kind: str) -> str:
    """Return a table that scrolls horizontally on a narrow page."""
    heads = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="table of {kind}"><table class="{kind}">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def sheet(images: Images, columns: int, largest: int = MAX_SIDE) -> Image.Image:
    """Return images as a grid of at most `largest` pixels on a side. Small images are enlarged."""
    _, height, width, _ = images.shape
    made = picture(grid(images, -(-len(images) // columns), columns, grid_scale(height, width)))
    made.thumbnail((largest, largest))
    return made


def figure(image: Image.Image, alt: str, caption: str) -> str:
    """Return an image with a caption, which is HTML."""
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return embedded(content.getvalue(), image.size, alt, caption)


def embedded(png: bytes, size: tuple[int, int], alt: str, caption: str) -> str:
    """Return a PNG file of that size with a caption, which is HTML."""
    data = base64.b64encode(png).decode()
    return (
        f'<figure><img src="data:image/png;base64,{data}" width="{size[0]}" height="{size[1]}" alt="{escape(alt)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
