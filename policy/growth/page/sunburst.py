"""A tree of types in, a sunburst out: a ring a level, an arc a type, as wide as what it holds; SVG without script."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from policy.growth.page.tally import Branch

EDGES = (64.0, 172.0, 240.0, 300.0, 352.0)
"""Radii between the rings; the first one has names in it, and room for them."""
RINGS = len(EDGES) - 1
THINNEST = math.radians(0.25)
"""An arc that is thinner is not drawn: of twenty thousand types a ring shows what can be seen."""
NAMED = math.radians(9)
"""An arc of the first ring that is as wide has its name in it."""


def sunburst(roots: Sequence[Branch], *, by: str = "samples") -> str:
    """The SVG; arcs are as wide as `samples` or, where there is none, as `leaves`."""
    whole = sum(_size(one, by) for one in roots)
    if by == "samples" and whole == 0:
        return sunburst(roots, by="leaves")
    edge = EDGES[min(RINGS, _depth(roots))] + 1
    told = f"{whole:,} {by}"
    arcs = "".join(_arcs(roots, 0.0, math.tau, 0, by, whole)) if whole else ""
    box = f"{-edge:g} {-edge:g} {2 * edge:g} {2 * edge:g}"
    return (
        f'<svg class="sunburst" viewBox="{box}" role="img" aria-label="{told} by type">'
        f'{arcs}<text class="middle" text-anchor="middle" dy="0.35em">{told}</text></svg>'
    )


def _arcs(branches: Sequence[Branch], start: float, end: float, ring: int, by: str, whole: int) -> Iterator[str]:
    total = sum(_size(one, by) for one in branches)
    if ring == RINGS or total == 0:
        return
    at = start
    for number, branch in enumerate(branches):
        size = _size(branch, by)
        until = at + (end - start) * size / total
        if until - at >= THINNEST:
            hue = int(math.degrees((at + until) / 2)) % 360 if ring == 0 else None
            yield from _arc(branch, at, until, ring, size, by, whole, hue, number)
            yield from _arcs(branch.below, at, until, ring + 1, by, whole)
            if ring == 0:
                yield "</g>"
        at = until


def _arc(
    branch: Branch, start: float, end: float, ring: int, size: int, by: str, whole: int, hue: int | None, number: int
) -> Iterator[str]:
    if hue is not None:
        yield f'<g style="--hue:{hue}">'
    label = escape(branch.node.label)
    yield (
        f'<path class="ring{ring}{" odd" if number % 2 else ""}" d="{_path(start, end, ring)}">'
        f"<title>{label}: {size:,} {by} ({size / whole:.1%})</title></path>"
    )
    if ring == 0 and end - start >= NAMED:
        middle, radius = (start + end) / 2, (EDGES[0] + EDGES[1]) / 2
        turned = math.degrees(middle) - 90
        flip = 180 if 90 < turned % 360 < 270 else 0
        name = escape(_short(branch.node.name))
        place = f"rotate({turned:.1f}) translate({radius:g} 0) rotate({flip})"
        yield f'<text transform="{place}" text-anchor="middle" dy="0.35em">{name}</text>'


def _path(start: float, end: float, ring: int) -> str:
    """From `start` to `end`, clockwise from the top, between the radii of a ring; a whole circle is two halves."""
    if end - start >= math.tau - 1e-9:
        return _path(0.0, math.pi, ring) + _path(math.pi, math.tau - 1e-9, ring)
    inner, outer = EDGES[ring], EDGES[ring + 1]
    far = int(end - start > math.pi)
    (x0, y0), (x1, y1) = _point(start, outer), _point(end, outer)
    (x2, y2), (x3, y3) = _point(end, inner), _point(start, inner)
    return (
        f"M{x0:.1f} {y0:.1f}A{outer:g} {outer:g} 0 {far} 1 {x1:.1f} {y1:.1f}"
        f"L{x2:.1f} {y2:.1f}A{inner:g} {inner:g} 0 {far} 0 {x3:.1f} {y3:.1f}Z"
    )


def _point(angle: float, radius: float) -> tuple[float, float]:
    return radius * math.sin(angle), -radius * math.cos(angle)


def _size(branch: Branch, by: str) -> int:
    return branch.samples if by == "samples" else branch.leaves


def _depth(branches: Sequence[Branch]) -> int:
    return 1 + max((_depth(one.below) for one in branches), default=0) if branches else 0


def _short(name: str, most: int = 17) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
