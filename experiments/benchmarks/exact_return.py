"""Round trip of lesions through the network's grid: balls and bands of known size, thin and thick slices.

    python experiments/benchmarks/exact_return.py

A shape is drawn on a scan's own grid (oblique by 12 degrees, axes LPS) and resampled to the network's grid with nearest
neighbours and back, 20 times at random positions and angles. The network's voxels are those of a brain of 136 x 166 x
130 mm resized to a cube. Reported are the mean (minimum) Dice with the original, the largest shift of the centre in
native voxels (of shapes that did not vanish), and the number of vanished shapes.
"""

from collections.abc import Callable

import numpy as np

from joint_seg_cls.scan import Geometry, Grid

BRAIN_MM = np.array([136.0, 166.0, 130.0])
FIELD_MM, TRIES, TILT = 72.0, 20, np.radians(12)
SPACINGS = ((1.0, 1.0, 1.0), (0.7, 0.7, 1.0), (0.72, 0.72, 3.0), (0.9, 0.9, 5.0))


def ellipsoid(volume_ml: float, ratios: tuple[float, float, float]) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that tests whether points are inside an ellipsoid."""
    radii = np.array(ratios) * (1000 * volume_ml / (4 / 3 * np.pi * np.prod(ratios))) ** (1 / 3)
    return lambda points: np.asarray(((points / radii) ** 2).sum(axis=-1) <= 1)


def band(thickness_mm: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that tests whether points are inside a band of 20 x 30 mm."""
    return lambda points: np.asarray((np.abs(points) <= np.array([thickness_mm / 2, 10, 15])).all(axis=-1))


SHAPES = {
    "ellipsoid 1 mL, 1:1.5:2": ellipsoid(1.0, (1, 1.5, 2)),
    "ellipsoid 0.1 mL, 1:1.5:2": ellipsoid(0.1, (1, 1.5, 2)),
    "ball 0.03 mL": ellipsoid(0.03, (1, 1, 1)),
    "band 3 mm": band(3),
    "band 2 mm": band(2),
    "band 1 mm": band(1),
}


def geometry(spacing_mm: tuple[float, float, float], image_size: int) -> Geometry:
    """Return a scan's grid and the network's grid in it, with the voxel size of a whole brain."""
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(TILT), -np.sin(TILT)], [np.sin(TILT), np.cos(TILT)]]
    x, y, z = (round(FIELD_MM / mm) for mm in spacing_mm)
    native = Grid((x, y, z), tilt @ np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0]))
    canonical = native.canonical()
    a, b, c = (
        round(n * mm * image_size / edge) for n, mm, edge in zip(native.shape, spacing_mm, BRAIN_MM, strict=True)
    )
    return Geometry(native, canonical.resized((a, b, c)))


def returned(geometry: Geometry, inside: Callable[[np.ndarray], np.ndarray], rng: np.random.Generator) -> list[float]:
    """Return Dice and the shift of the centre (NaN if the shape vanished)."""
    native = geometry.native
    index = np.stack(np.meshgrid(*map(np.arange, native.shape), indexing="ij"), axis=-1)
    points = index @ native.affine[:3, :3].T + native.affine[:3, 3]
    middle = (native.affine @ np.append((np.array(native.shape) - 1) / 2, 1))[:3] + rng.uniform(-8, 8, 3)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    sent = inside((points - middle) @ turn)
    back = geometry.to_native(geometry.to_model(sent, linear=False), linear=False)
    if not sent.any():
        return [np.nan] * 2
    move = np.linalg.norm(np.argwhere(back).mean(axis=0) - np.argwhere(sent).mean(axis=0)) if back.any() else np.nan
    return [2 * (sent & back).sum() / (sent.sum() + back.sum()), float(move)]


def main() -> None:
    """Print one table for each size of the network's grid."""
    for image_size in (160, 96):
        spacing = " x ".join(f"{mm / image_size:.2f}" for mm in BRAIN_MM)
        print(f"\n{image_size}^3: voxels of {spacing} mm\n")
        print("| sent | " + " | ".join(" x ".join(f"{mm:g}" for mm in spacing_mm) for spacing_mm in SPACINGS) + " |")
        print("|---" * (len(SPACINGS) + 1) + "|")
        for name, inside in SHAPES.items():
            cells = []
            for spacing_mm in SPACINGS:
                rng = np.random.default_rng(0)
                there = geometry(spacing_mm, image_size)
                found = np.array([returned(there, inside, rng) for _ in range(TRIES)])
                lost = int((found[:, 0] == 0).sum())
                least, move = np.nanmin(found[:, 0]), np.nanmax(found[:, 1])
                cells.append(
                    f"{np.nanmean(found[:, 0]):.2f} ({least:.2f}), {move:.1f}" + (f", {lost} lost" * (lost > 0))
                )
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
