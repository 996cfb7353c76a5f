"""How far labels are apart among points: purity of their nearest neighbours, and silhouette."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import numpy as np

NEIGHBOURS = 10  # k of the purity


class Separation(TypedDict):
    """Purity and its level by chance, 0 to 1; silhouette, -1 to 1; None where undefined."""

    purity: float | None
    chance: float | None
    silhouette: float | None


def standardised(vectors: np.ndarray) -> np.ndarray:
    """(N, D) float64 columns of mean 0 and deviation 1 over these points; a constant column becomes 0."""
    import numpy as np

    centred = vectors.astype(np.float64)
    centred -= centred.mean(0)
    spread = centred.std(0)
    return centred / np.where(spread < 1e-9, np.inf, spread)


def distances(vectors: np.ndarray) -> np.ndarray:
    """(N, N) Euclidean distances of vectors (N, D)."""
    import numpy as np
    from sklearn.metrics import euclidean_distances

    found = euclidean_distances(vectors)
    np.fill_diagonal(found, 0.0)  # its expansion of the square leaves a rounding error there
    return found


def separation(distances: np.ndarray, labels: np.ndarray, k: int = NEIGHBOURS) -> Separation:
    """Purity, its level by chance, and silhouette of labels over points.

    Purity is the mean share of a point's k nearest neighbours (all others where there are fewer) that have its label;
    by chance it is the share of all ordered pairs of points with one label, sum n_c (n_c - 1) / (n (n - 1)).
    Silhouette: Rousseeuw (1987), mean of (b - a) / max(a, b) over points.

    Args:
        distances: (N, N).
        labels: (N,) strings; points whose label is None are left out, as neighbours too.

    Returns:
        `purity`, `chance` (0 to 1) and `silhouette` (-1 to 1), rounded to 4 decimals; None where undefined: fewer than
        two labelled points, or for the silhouette fewer than two labels or no two points of one label.
    """
    import numpy as np
    from sklearn.metrics import silhouette_score

    known = np.array([label is not None for label in labels], dtype=bool)
    codes = np.unique(np.asarray(labels[known], dtype=str), return_inverse=True)[1]
    n = len(codes)
    if n < 2:
        return {"purity": None, "chance": None, "silhouette": None}
    among = distances[np.ix_(known, known)]
    counts = np.bincount(codes)
    silhouette = None
    if 2 <= len(counts) < n:
        silhouette = round(float(silhouette_score(among, codes, metric="precomputed")), 4)
    np.fill_diagonal(among, np.inf)
    k = min(k, n - 1)
    nearest = np.argsort(among, axis=1, kind="stable")[:, :k]
    purity = float((codes[nearest] == codes[:, None]).mean())
    chance = float((counts * (counts - 1)).sum() / (n * (n - 1)))
    return {"purity": round(purity, 4), "chance": round(chance, 4), "silhouette": silhouette}
