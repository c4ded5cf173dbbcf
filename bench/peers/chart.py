"""The bars of docs/peers.svg: MB/s of raw JSON by system, on a background of its own, light or dark."""

from __future__ import annotations

from html import escape
from typing import Any

from bench.peers.shown import rate

_WIDTH, _LEFT, _RIGHT = 760, 230, 90
_BAR, _STEP, _GAP = 16, 24, 34

_STYLE = """
  .card { fill: #ffffff; stroke: #d0d7de } .text { fill: #1f2328 } .faint { fill: #59636e }
  .bar { fill: #8c959f } .ours { fill: #0969da } .limit { fill: #bf8700 } .wrong { fill: #cf222e }
  text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif }
  .title { font-weight: 600; font-size: 13px }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d } .text { fill: #f0f6fc } .faint { fill: #9198a1 }
    .bar { fill: #6e7681 } .ours { fill: #4493f8 } .limit { fill: #d29922 } .wrong { fill: #f85149 }
  }
"""


def chart(results: dict[str, Any]) -> str:
    """Return the SVG; bars are linear, and all on one scale."""
    groups = [group for group in results["groups"] if group["name"] != "converted"]
    others = [group for group in results["groups"] if group["name"] == "converted"]
    zstd = results["zstd"]
    measured = [entry for group in groups for entry in group["systems"] if rate(entry) is not None]
    most = max(rate(entry) or 0 for entry in [zstd, *measured])
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    lines, y = [], 16
    for group in groups:
        lines.append(_text(16, y + 12, f"{group['title']}: MB/s of raw JSON", "text title"))
        y += _STEP + 2
        for entry in [zstd, *group["systems"]]:
            found = rate(entry)
            if found is not None:
                lines += _bar(entry, found, scale, y)
                y += _STEP
        y += _GAP - _STEP
    settings, about = results["settings"], results["machine"]
    source = f"{settings['records']:,} deals, {zstd['megabytes']:,.0f} MB of JSON"
    lines.append(_text(16, y + 6, f"{source}; {about['cores']} cores, {about['CPU']}", "faint"))
    for entry in (entry for group in others for entry in group["systems"]):
        if found := rate(entry):
            y += _STEP - 6
            text = f"lines: after a conversion of the feed, by {entry['name']} at {found:,.0f} MB/s"
            lines.append(_text(16, y + 6, text, "faint"))
    height = y + 20
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}"'
            f' height="{height}" role="img" aria-label="MB/s of raw JSON by system">',
            f"<style>{_STYLE}</style>",
            f'<rect class="card" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1}" rx="6"/>',
            *lines,
            "</svg>\n",
        ]
    )


def _bar(entry: dict[str, Any], found: float, scale: float, y: int) -> list[str]:
    kind = "wrong" if entry["fault"] else "bar"
    if entry["name"].startswith("etl"):
        kind = "ours"
    elif entry["name"].startswith("zstd"):
        kind = "limit"
    width = max(1.0, found * scale)
    value = f"{found:,.0f}{' (wrong rows)' if entry['fault'] else ''}"
    return [
        _text(_LEFT - 8, y + 12, f"{entry['name']}, {entry['reads']}", "text", ' text-anchor="end"'),
        f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>',
        _text(_LEFT + width + 6, y + 12, value, "faint"),
    ]


def _text(x: float, y: int, text: str, kind: str, more: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y}"{more}>{escape(text)}</text>'
