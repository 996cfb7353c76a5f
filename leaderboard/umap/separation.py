"""How far labels are apart among points: purity of their nearest neighbours, and silhouette."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import numpy as np

NEIGHBOURS = 10  # k of the purity


class Separation(TypedDict):
    """Purity and its level by chance, 0 to 1, among all neighbours and (`_others`) among those of other speakers;
    silhouette, -1 to 1; None where undefined."""

    purity: float | None
    chance: float | None
    purity_others: float | None
    chance_others: float | None
    silhouette: float | None


def standardised(vectors: np.ndarray) -> np.ndarray:
    """(N, D) float64 columns, (x - mean) / deviation over these points: mean 0, deviation 1; a constant column is 0.

    >>> import numpy as np
    >>> print(standardised(np.array([[1.0, 5.0], [3.0, 5.0]])))
    [[-1.  0.]
     [ 1.  0.]]
    """
    import numpy as np

    centred = vectors.astype(np.float64)
    centred -= centred.mean(0)
    spread = centred.std(0)
    return centred / np.where(spread < 1e-9, np.inf, spread)


def distances(vectors: np.ndarray) -> np.ndarray:
    """(N, N) Euclidean distances sqrt(sum_d (x_d - y_d)^2) of vectors (N, D), 0 or more.

    >>> import numpy as np
    >>> print(distances(np.array([[0.0, 0.0], [3.0, 4.0]])))
    [[0. 5.]
     [5. 0.]]
    """
    import numpy as np
    from sklearn.metrics import euclidean_distances

    apart = euclidean_distances(vectors)
    np.fill_diagonal(apart, 0.0)  # euclidean_distances leaves a rounding error there
    return apart


def separation(
    distances: np.ndarray, labels: np.ndarray, speakers: np.ndarray | None = None, k: int = NEIGHBOURS
) -> Separation:
    """Purity, its level by chance, and silhouette of labels over points.

    Purity is the mean share of a point's k nearest neighbours (of all, where there are fewer) that have its label;
    chance is the mean share of all other points that have it. Utterances of a speaker lie near each other whatever they
    express, so `purity_others` and `chance_others` count only points of other speakers.
    Silhouette (Rousseeuw 1987): the mean over points of (b - a) / max(a, b), a being the mean distance to other points
    of its label, b the smallest mean distance to points of another label; speakers do not matter.

    Args:
        distances: (N, N).
        labels: (N,) strings; points whose label is None are left out, as neighbours too.
        speakers: (N,) strings; points whose speaker is None are left out of the figures of other speakers.

    Returns:
        Figures rounded to 4 decimals; None where undefined: fewer than two labelled points (of two speakers), no
        speakers, or for the silhouette fewer than two labels or no two points of one label.

    >>> import numpy as np
    >>> apart, labels = distances(np.array([[0.0], [1.0], [10.0], [11.0]])), np.array(["anger", "anger", "joy", "joy"])
    >>> seen = separation(apart, labels, k=1)
    >>> seen["purity"], seen["chance"], seen["silhouette"]
    (1.0, 0.3333, 0.8997)
    """
    import numpy as np
    from sklearn.metrics import silhouette_score

    nobody: Separation = {
        "purity": None, "chance": None, "purity_others": None, "chance_others": None, "silhouette": None
    }  # fmt: skip
    known = np.array([label is not None for label in labels], dtype=bool)
    codes = np.unique(np.asarray(labels[known], dtype=str), return_inverse=True)[1]
    if (n := len(codes)) < 2:
        return nobody
    among = distances[np.ix_(known, known)]
    silhouette = None
    if 2 <= codes.max() + 1 < n:
        silhouette = round(float(silhouette_score(among, codes, metric="precomputed")), 4)
    purity, chance = _purity(among, codes, np.arange(n), k)
    measures: Separation = nobody | {"purity": purity, "chance": chance, "silhouette": silhouette}
    if speakers is not None:
        theirs = speakers[known]
        named = np.array([speaker is not None for speaker in theirs], dtype=bool)
        who = np.unique(np.asarray(theirs[named], dtype=str), return_inverse=True)[1]
        if len(set(who)) > 1:
            others = _purity(among[np.ix_(named, named)], codes[named], who, k)
            measures |= {"purity_others": others[0], "chance_others": others[1]}
    return measures


def _purity(distances: np.ndarray, codes: np.ndarray, owners: np.ndarray, k: int) -> tuple[float, float]:
    """Purity among the k nearest points of other owners, and its level by chance, rounded to 4 decimals.

    Args:
        distances: (N, N).
        codes: (N,) labels as numbers from 0.
        owners: (N,) numbers from 0; at least two differ.
    """
    import numpy as np

    apart = np.where(owners[:, None] == owners[None], np.inf, distances)
    nearest = np.argsort(apart, axis=1, kind="stable")[:, :k]
    there = np.isfinite(np.take_along_axis(apart, nearest, axis=1))
    alike = (codes[nearest] == codes[:, None]) & there
    own = np.zeros((owners.max() + 1, codes.max() + 1))
    np.add.at(own, (owners, codes), 1)
    with_label = own.sum(axis=0)[codes] - own[owners, codes]  # of possible neighbours
    chance = with_label / (len(codes) - own.sum(axis=1)[owners])
    return round(float((alike.sum(axis=1) / there.sum(axis=1)).mean()), 4), round(float(chance.mean()), 4)
