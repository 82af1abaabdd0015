"""Cloth: two sheets over an outline, sewn along its edge and filled out as if by a body: clothes, bags, cushions.

How far the sheets are apart solves Poisson's equation over the outline, zero where they are sewn and free where they
are open: the square root of its solution is a circle over a strip, so that sleeves and legs come out round and hems
stay open by themselves.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from torchmultiverse.engines.builtin.characters import fractal, polygon_distance
from torchmultiverse.engines.builtin.mesh import Mesh, smooth_normals
from torchmultiverse.engines.builtin.objects.builders import Point, Shape, builder
from torchmultiverse.engines.builtin.objects.geometry import Array, Built, Faces, area, curve, join, resampled, strip

_ROWS = (0.0, 0.04, 0.13, 0.3, 0.55)
"""Rings along the edge, where the sheets are steep: how far inside it, in mesh widths."""


class Opening(Shape):
    """A part of the edge where the sheets are not sewn: from the point of that number to another one, onward.

    ``dip``: how far the front sheet hangs lower in its middle (a neckline), ``vee`` above 0 makes that pointed (to 1);
    ``band``: width of a hem, cuff or collar that stands out by ``rise`` (or lies in, where negative).
    """

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    dip: float = 0.0
    vee: float = Field(default=0.0, ge=0, le=1)
    band: float = Field(default=0.0, ge=0)
    rise: float = 0.0


class Folds(Shape):
    """Folds ``size`` apart and ``depth`` deep whose crests run along the angle ``along`` (degrees, 0 to the right, 90
    up), or away from ``at`` where ``fan``. ``at`` and ``reach``: only there, fading. ``stretch``: length over width.
    ``both``: mirrored to -x as well."""

    size: float = Field(gt=0)
    depth: float
    along: float = 90.0
    at: Point | None = None
    reach: float = Field(default=0.2, gt=0)
    fan: bool = False
    stretch: float = Field(default=4.0, ge=1)
    sharp: float = Field(default=0.5, ge=0, le=1)
    both: bool = True
    seed: int = 0


class Bump(Shape):
    """A swelling at a point that fades over ``reach`` (or two reaches, along x and z): of the ``front`` (towards the
    viewer) and of the ``back`` (away); with opposite signs it bends both sheets. ``both``: mirrored to -x as well."""

    at: Point
    reach: float | Point
    front: float = 0.0
    back: float = 0.0
    both: bool = True


class Cloth(Shape):
    """An outline in x (right) and z (up), filled out along y.

    Attributes:
        outline: its points, counter-clockwise; with ``mirror``, those of its right half from the middle below to the
            middle on top. ``smooth`` segments of a curve between two; ``corners``: numbers of points that stay sharp
            (ends of openings do anyway).
        open: where it is not sewn.
        full: thickness over width where there is nothing to hold it: 1 is round. ``limit``: greatest half thickness.
        wall: thickness of the cloth, seen at openings. ``lining``: brightness of the inside.
        folds, bumps: see there. ``crumple``: length and depth of waves of the sewn edge itself.
        frame: left, low, right, high of what a picture covers, by default the outline's bounds: the left half of the
            picture is the front, the right half the back.
        cells: mesh widths over the longest extent. ``seed``: of folds.
    """

    outline: list[Point] = Field(min_length=3)
    mirror: bool = True
    smooth: int = Field(default=5, ge=0, le=24)
    corners: list[int] = Field(default=[])
    open: list[Opening] = Field(default=[])
    full: float = Field(default=0.8, gt=0)
    limit: float = Field(default=0.2, gt=0)
    wall: float = Field(default=0.012, gt=0)
    lining: float = Field(default=0.6, ge=0, le=1)
    folds: list[Folds] = Field(default=[])
    bumps: list[Bump] = Field(default=[])
    crumple: Point = (0.1, 0.0)
    frame: tuple[float, float, float, float] | None = None
    cells: int = Field(default=70, ge=16, le=160)
    seed: int = 0


class _Edge:
    """The outline's edge as points (N, 2), counter-clockwise.

    Attributes:
        points: the points. ``opening``: of each segment from a point to the next the number of its opening, -1 where
            it is sewn. ``sewn``: of each point whether the sheets meet there.
    """

    def __init__(self, s: Cloth, width: float) -> None:
        given, numbers = _whole(s)
        count = len(given)
        owner = np.full(count, -1)
        for number, opening in enumerate(s.open):
            if max(opening.start, opening.end) >= len(s.outline) or opening.start >= opening.end:
                raise ValueError(
                    f"an opening from {opening.start} to {opening.end} of an outline of {len(s.outline)} points"
                )
            for k in range(count):
                a, b = sorted((numbers[k], numbers[(k + 1) % count]))
                if opening.start <= a and b <= opening.end and b - a <= 1:
                    owner[k] = number
        breaks = {k for k in range(count) if (owner[k] < 0) != (owner[k - 1] < 0)}
        breaks |= {k for k in range(count) if numbers[k] in s.corners}
        points, opened = [], []
        for piece, own in _pieces(given, owner, sorted(breaks), s.smooth):
            length = float(np.linalg.norm(np.diff(piece, axis=0), axis=1).sum())
            even = resampled(piece, max(3, round(length / (0.7 * width)) + 1))
            spread = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(piece, axis=0), axis=1))])
            at = np.interp(np.linspace(0, spread[-1], len(even)), spread, np.arange(len(piece)))
            points.append(even[:-1])
            opened.append(own[np.minimum(np.floor(at[:-1] + 1e-9).astype(int), len(own) - 1)])
        self.points, self.opening = np.concatenate(points), np.concatenate(opened)
        self.sewn = (self.opening < 0) | (np.roll(self.opening, 1) < 0)
        size, depth = s.crumple
        if depth:
            at = np.column_stack([self.points / size, np.full(len(self.points), 5.0 + s.seed)])
            wave = np.where(self.sewn, depth * 2 * (fractal(at.astype(np.float32), 2, 40 + s.seed) - 0.5), 0)
            self.points = self.points - self.inward() * wave[:, None]

    def inward(self) -> Array:
        """Return unit vectors (N, 2) from the points inward."""
        side = np.roll(self.points, -1, 0) - self.points
        side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12)
        along = side + np.roll(side, 1, 0)
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
        return np.stack([-along[:, 1], along[:, 0]], -1)

    def runs(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Return of each stretch that is open the number of its opening and its points, the sewn ends included."""
        n = len(self.points)
        if (self.opening >= 0).all():
            raise ValueError("the whole edge is open; some of it must be sewn")
        starts = [k for k in range(n) if self.opening[k] >= 0 and self.opening[k - 1] < 0]
        found = []
        for k in starts:
            length = next(i for i in range(1, n + 1) if self.opening[(k + i) % n] < 0)
            found.append((int(self.opening[k]), (k + np.arange(length + 1)) % n))
        return found


def _whole(s: Cloth) -> tuple[Array, list[int]]:
    """Return the outline's points (N, 2) and of each the number it has in the file."""
    half = np.asarray(s.outline, float)
    numbers = list(range(len(half)))
    if s.mirror:
        if half[:, 0].min() < -1e-6:
            raise ValueError("an outline that is mirrored has points of x below 0; give its right half, or no 'mirror'")
        twin = [k for k in numbers[::-1] if abs(half[k, 0]) > 1e-6]
        half, numbers = np.concatenate([half, half[twin] * [-1, 1]]), numbers + twin
    if area(half) < 0:
        raise ValueError("the outline must run counter-clockwise (with 'mirror': from below to the top, x above 0)")
    return half, numbers


def _pieces(
    given: Array, owner: NDArray[np.int64], breaks: list[int], smooth: int
) -> list[tuple[Array, NDArray[np.int64]]]:
    """Return curves between the points that stay sharp, and of each of their segments its opening."""
    steps, n = max(smooth, 1), len(given)
    if not breaks:
        line = curve(given, smooth, closed=True)
        return [(np.concatenate([line, line[:1]]), np.repeat(owner, len(line) // n))]
    found = []
    for a, b in itertools.pairwise([*breaks, breaks[0] + n]):
        index = np.arange(a, b + 1) % n
        line = curve(given[index], smooth) if len(index) > 2 else given[index]
        found.append((line, np.repeat(owner[index[:-1]], steps if len(index) > 2 else 1)))
    return found


def _meshed(edge: _Edge, width: float) -> tuple[Array, Faces]:
    """Return a flat mesh (V, 2) and (F, 3) of the outline; the edge's points come first."""
    from scipy.spatial import Delaunay

    inward = edge.inward()
    side = np.roll(edge.points, -1, 0) - edge.points
    normal = np.stack([-side[:, 1], side[:, 0]], -1) / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12)
    inward = inward / np.maximum((inward * normal).sum(1, keepdims=True), 0.5)  # corners are mitred
    rings = [edge.points + inward * (row * width) for row in _ROWS]
    n = len(edge.points)
    i, j = np.arange(n), (np.arange(n) + 1) % n
    faces = []
    for k in range(len(rings) - 1):
        a, b = k * n, (k + 1) * n
        faces += [np.stack([a + i, a + j, b + j], 1), np.stack([a + i, b + j, b + i], 1)]
    inner = rings[-1]
    low, high = inner.min(0), inner.max(0)
    xs = np.arange(low[0], high[0], width)
    zs = np.arange(low[1], high[1], width * np.sqrt(0.75))
    x, z = np.meshgrid(xs, zs)
    x = x + (np.arange(len(zs)) % 2)[:, None] * width / 2
    flat = np.stack([x.ravel(), z.ravel()], -1)
    outline = inner.astype(np.float32)
    flat = flat[polygon_distance(flat[:, 0].astype(np.float32), flat[:, 1].astype(np.float32), outline) < -0.5 * width]
    points = np.concatenate([inner, flat])
    triangles = Delaunay(points).simplices.astype(np.int64)
    middle = points[triangles].mean(1).astype(np.float32)
    triangles = triangles[polygon_distance(middle[:, 0], middle[:, 1], outline) < 0]
    u, w = (points[triangles[:, k]] - points[triangles[:, 0]] for k in (1, 2))
    twice = u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0]
    triangles[twice < 0] = triangles[twice < 0][:, ::-1]
    triangles = triangles[np.abs(twice) > 1e-3 * width**2]  # none of nothing along a straight edge
    return np.concatenate([*rings[:-1], points]), np.concatenate([*faces, triangles + (len(rings) - 1) * n])


class _Elements:
    """Linear finite elements over a flat mesh."""

    def __init__(self, points: Array, faces: Faces) -> None:
        from scipy.sparse import coo_matrix, diags

        p = points[faces]
        sides = np.roll(p, -2, 1) - np.roll(p, -1, 1)  # opposite of each corner
        double = sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]
        double = np.maximum(np.abs(double), 1e-12)
        local = np.einsum("fik,fjk->fij", sides, sides) / (2 * double)[:, None, None]
        rows, columns = np.repeat(faces, 3, 1).ravel(), np.tile(faces, (1, 3)).ravel()
        n = len(points)
        self.stiff = coo_matrix((local.ravel(), (rows, columns)), (n, n)).tocsr()
        self.mass = np.bincount(faces.ravel(), np.repeat(double / 6, 3), n)
        self._weights = diags(self.mass)

    def solved(self, fixed: NDArray[np.int64], values: Array, source: float, screen: float) -> Array:
        """Return u with ``screen`` u - div grad u = ``source`` and the values at the fixed points."""
        from scipy.sparse.linalg import spsolve

        u = np.zeros(len(self.mass))
        u[fixed] = values
        free = np.setdiff1d(np.arange(len(u)), fixed)
        matrix = (self.stiff + screen * self._weights).tocsc()
        right = source * self.mass - matrix @ u
        u[free] = spsolve(matrix[free][:, free], right[free])
        return u


def _fold(f: Folds, p: Array, side: int, seed: int) -> Array:
    """Return of points (V, 2) how far a sheet is lifted."""
    total = np.zeros(len(p))
    for sign in (1.0, -1.0) if f.both and (f.at is not None or f.along % 90) else (1.0,):
        q = p * [sign, 1]
        if f.fan and f.at is not None:
            away = q - np.asarray(f.at)
            r = np.hypot(*away.T)
            across, along = np.arctan2(away[:, 1], away[:, 0]) * f.reach / 2, r
        else:
            c, s = np.cos(np.radians(f.along)), np.sin(np.radians(f.along))
            along, across = q @ [c, s], q @ [-s, c]
        where = np.stack([across / f.size, along / (f.size * f.stretch), np.full(len(p), 7.3 * side + sign)], -1)
        noise = fractal(where.astype(np.float32), 2, seed + f.seed).astype(float)
        crest = 1 - np.minimum(np.abs(noise - 0.5) * 5, 1)
        value = (1 - f.sharp) * 2 * (noise - 0.5) + f.sharp * (crest - 0.45)
        if f.at is not None:
            value = value * np.exp(-(((q - np.asarray(f.at)) / f.reach) ** 2).sum(1))
        elif f.both and f.along % 90:
            value = value * (q[:, 0] > 0)
        total += f.depth * value
    return total


def _bumped(s: Cloth, p: Array) -> tuple[Array, Array]:
    """Return of points (V, 2) how much thicker the cloth is, and how far both sheets are moved, in half thicknesses."""
    front, back = np.zeros(len(p)), np.zeros(len(p))
    for bump in s.bumps:
        reach = np.broadcast_to(np.asarray(bump.reach, float), 2)
        for sign in (1.0, -1.0) if bump.both and abs(bump.at[0]) > 1e-6 else (1.0,):
            weight = np.exp(-(((p * [sign, 1] - np.asarray(bump.at)) / reach) ** 2).sum(1))
            front, back = front + bump.front * weight, back + bump.back * weight
    return (front + back) / 2, (back - front) / 2


def _banded(s: Cloth, edge: _Edge, p: Array) -> Array:
    """Return of points (V, 2) how far the bands of openings stand out."""
    from scipy.spatial import cKDTree

    rise = np.zeros(len(p))
    for number, run in edge.runs():
        opening = s.open[number]
        if opening.band and opening.rise:
            distance, _ = cKDTree(edge.points[run]).query(p)
            t = np.clip((opening.band - distance) / (0.2 * opening.band) + 0.5, 0, 1)
            rise += opening.rise * t * t * (3 - 2 * t)
    return rise


def _dipped(s: Cloth, edge: _Edge, elements: _Elements) -> Array:
    """Return of the flat mesh's points how far the front sheet hangs lower."""
    n = len(edge.points)
    values = np.zeros(n)
    widest = 0.0
    for number, run in edge.runs():
        opening = s.open[number]
        t = np.linspace(0, 1, len(run))
        bow = (1 - opening.vee) * np.sin(np.pi * t) ** 0.8 + opening.vee * (1 - np.abs(2 * t - 1))
        values[run] = opening.dip * bow
        if opening.dip:
            widest = max(widest, float(np.linalg.norm(edge.points[run[-1]] - edge.points[run[0]])), 2 * opening.dip)
    if not widest:
        return np.zeros(len(elements.mass))
    return elements.solved(np.arange(n), values, 0.0, 1 / (0.6 * widest) ** 2)


@builder("cloth", Cloth)
def cloth(s: Cloth) -> Built:
    """Return the sheets, their inside and hems; texture coordinates are x and z of the flat outline."""
    extent = float(np.ptp(np.asarray(s.outline, float) * ([2, 1] if s.mirror else [1, 1]), axis=0).max())
    width = extent / s.cells
    edge = _Edge(s, width)
    p, faces = _meshed(edge, width)
    elements = _Elements(p, faces)
    sewn = np.flatnonzero(edge.sewn)
    half = s.full * np.sqrt(2 * np.maximum(elements.solved(sewn, np.zeros(len(sewn)), 1.0, 0.0), 0))
    half = half / (1 + (half / s.limit) ** 2.5) ** (1 / 2.5)
    fade = half / (half + 0.15 * s.limit)
    thick, shift = _bumped(s, p)
    thick = thick + (_banded(s, edge, p) if s.open else 0)
    dip = _dipped(s, edge, elements) if s.open else np.zeros(len(p))
    sheets, inside = [], []
    for side in (-1, 1):
        fold = sum((_fold(f, p, side, s.seed) for f in s.folds), np.zeros(len(p)))
        t = np.maximum(half + fade * (thick + fold), 0.02 * half)
        flat = p[:, 1] - dip * (side < 0)
        sheets.append(np.column_stack([p[:, 0], shift + side * t, flat]))
        inside.append(np.column_stack([p[:, 0], shift + side * t**2 / (t + s.wall), flat]))
    pieces = [_body(sheets, faces, p, s, 1.0)]
    if s.open:
        pieces.append(_body(inside, faces[:, ::-1], p, s, s.lining))
        pieces += _rims(sheets, inside, edge, s, p)
    return join(pieces)


def _unit(s: Cloth, p: Array, back: bool) -> Array:
    low, high = (p.min(0), p.max(0)) if s.frame is None else (np.asarray(s.frame[:2]), np.asarray(s.frame[2:]))
    u, v = ((p - low) / np.maximum(high - low, 1e-9)).clip(0, 1).T
    return np.stack([1 - u / 2 if back else u / 2, v], -1)


def _body(sheets: list[Array], faces: Faces, p: Array, s: Cloth, shade: float) -> Built:
    """Return front and back as one, smooth over the sewn edge."""
    vertices = np.concatenate(sheets)
    both = np.concatenate([faces, faces[:, ::-1] + len(p)])
    key = np.round(vertices, 6)
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1)
    whole = Mesh(vertices[first].astype(np.float32), inverse[both].astype(np.uint32))
    normals = smooth_normals(whole)[inverse]
    # From x right and z up, counter-clockwise faces -y: the front.
    mesh = Mesh(
        vertices.astype(np.float32),
        both.astype(np.uint32),
        normals,
        np.tile(p, (2, 1)).astype(np.float32),
        np.full((len(vertices), 3), shade, np.float32),
    )
    unit = np.concatenate([_unit(s, p, False), _unit(s, p, True)])
    return Built(mesh, unit.astype(np.float32))


def _rims(sheets: list[Array], inside: list[Array], edge: _Edge, s: Cloth, p: Array) -> list[Built]:
    """Return the cloth's own edge at the openings."""
    found = []
    outward = -edge.inward()
    for _, run in edge.runs():
        for side in (0, 1):
            rows = np.stack([sheets[side][run], inside[side][run]])
            facing = np.column_stack([outward[run][:, 0], np.zeros(len(run)), outward[run][:, 1]])
            along = np.linspace(0, 1, len(run))
            made = strip(rows, (along, np.zeros(2)), (along, np.zeros(2)), np.broadcast_to(facing, rows.shape))
            unit = np.tile(_unit(s, p[run], bool(side)), (2, 1))
            mesh = made.mesh
            colors = np.ones_like(mesh.vertices)
            uv = np.tile(p[run], (2, 1)).astype(np.float32)
            found.append(Built(Mesh(mesh.vertices, mesh.faces, mesh.normals, uv, colors), unit.astype(np.float32)))
    return found
