"""A self-contained HTML page: its frame, its style, and its elements (lists of facts, tables and images).

It has no scripts and loads nothing: images are data URIs, and its content security policy allows nothing else. All text
arguments are escaped, except the rows of a table and the caption of an image, which are HTML.
"""

import base64
import io
from collections.abc import Sequence

from PIL import Image

from sparring.images import Images, grid, grid_scale, picture
from sparring.reports import charts
from sparring.terminal.output import html_escaped as escape

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


# ------------------------------------------------------------------------------------------------ style

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} – Sparring</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<footer>Written by Sparring.</footer>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --paper: #faf9f6; --card: #fff; --ink: #1d1e22; --soft: #5b5e67; --rule: #dddad3;
  --one: #0068ab; --two: #bb4a00; --three: #7040ab; --calm: #1b7345; --alarm: #b3221b; --alarm-card: #fdeceb }
@media (prefers-color-scheme: dark) {
  :root { --paper: #141519; --card: #1c1e23; --ink: #e9e9ec; --soft: #a4a8b3; --rule: #363941;
    --one: #63b5f2; --two: #ffa05f; --three: #c7a5f7; --calm: #6fd29a; --alarm: #ff8d84; --alarm-card: #381d1c }
}
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100% }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif }
main, footer { max-width: 74rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2.5rem) }
header { padding-top: 2rem } section { margin-top: 2.75rem } footer { padding-block: 2.5rem; color: var(--soft) }
h1, h2, h3 { line-height: 1.2; margin: 0 0 .6rem; overflow-wrap: anywhere }
h1 { font-size: 1.35rem; font-weight: 600 } h2 { font-size: 1.4rem } h3 { font-size: 1.05rem; margin-top: 1.75rem }
p { margin: .5rem 0; max-width: 46rem; overflow-wrap: anywhere }
.headline { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem .7rem; max-width: none }
.headline strong { font-size: clamp(3rem, 9vw, 4.75rem); line-height: 1; letter-spacing: -.03em; color: var(--one) }
.headline .error { font-size: 1.4rem } .headline span:last-child { font-size: 1.15rem }
.error { color: var(--soft); white-space: nowrap }
.alarms { margin: 1.25rem 0; padding: .9rem 1.1rem; background: var(--alarm-card); border-radius: .5rem;
  border: 1px solid var(--alarm); border-left-width: .4rem; overflow-wrap: anywhere }
.alarms h2 { font-size: 1.05rem; color: var(--alarm); margin: 0 } .alarms ul { margin: .3rem 0 0; padding-left: 1.2rem }
.calm { color: var(--calm); font-weight: 600 } .notice, .key { color: var(--soft) }
dl { margin: .9rem 0 } dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
.about { display: flex; flex-wrap: wrap; gap: .7rem 1.5rem } .about div { flex: 1 1 13rem }
.about dt { font-size: .82rem } .about div:last-child { flex-basis: 100% }
.made-with div { display: grid; grid-template-columns: clamp(6rem, 20%, 10rem) minmax(0, 1fr); gap: 1rem }
.made-with div, .settings div { padding: .25rem 0; border-top: 1px solid var(--rule) }
.settings { columns: 20.5rem; column-gap: 2rem; font-size: .88rem }
.settings div { display: flex; justify-content: space-between; gap: .5rem; break-inside: avoid }
.settings dd { text-align: right } .settings dt { flex: none; max-width: 82%; overflow-wrap: anywhere }
.scroll { overflow-x: auto; border: 1px solid var(--rule); border-radius: .5rem; background: var(--card) }
table { border-collapse: collapse; width: 100%; font-size: .94rem }
th, td { padding: .45rem .75rem; text-align: left; vertical-align: baseline }
thead th { color: var(--soft); font-size: .82rem; font-weight: 500 } tbody tr { border-top: 1px solid var(--rule) }
tbody th { font-weight: 600 } .number { font-variant-numeric: tabular-nums; white-space: nowrap }
.measures td:nth-child(4) { white-space: nowrap } .measures td:last-child { min-width: 18rem; color: var(--soft) }
.classes td, .classes th { padding-block: .22rem; vertical-align: middle }
.classes .long { width: 55%; min-width: 8rem } .classes td:last-child { white-space: nowrap }
small { color: var(--soft) }
figure { margin: 0 } figcaption { font-size: .88rem; color: var(--soft); margin-top: .3rem }
figcaption b { color: var(--ink) }
img { display: block; width: 100%; height: auto; border-radius: .25rem }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 1.25rem;
  max-width: 62rem }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.25rem, 1fr)); gap: .9rem }
.grids { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(45%, 14rem), 1fr)); gap: .9rem }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1rem }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: .5rem; padding: .8rem .9rem }
.card { display: flex; flex-direction: column } .card figcaption { margin: 0 } .card figcaption b { display: block }
.card .chart { margin-top: auto } .raised { margin: .3rem 0 1rem; padding-left: 1.2rem; color: var(--alarm) }
pre { margin: 0; padding: .8rem 1rem; background: var(--card); border: 1px solid var(--rule); border-radius: .5rem;
  overflow-x: auto; font: .9rem/1.5 ui-monospace, "Cascadia Mono", Menlo, monospace }
@media (max-width: 44rem) {
  .measures thead th:first-child, .measures thead th:last-child { display: none }
  .measures tr { display: grid; padding: .35rem 0;
    grid-template-columns: minmax(0, 2fr) minmax(0, 1.1fr) minmax(0, 1.3fr) }
  .measures tbody th, .measures td:last-child { grid-column: 1 / -1; min-width: 0 }
  .measures th, .measures td { padding-block: .1rem }
  .classes th, .classes td { padding-inline: .4rem } .classes .long { width: 40%; min-width: 5rem }
  .classes small { display: block; line-height: 1 } .classes td:last-child { white-space: normal }
}
@media print { .card, figure, tr { break-inside: avoid } }
"""
