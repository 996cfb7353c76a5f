"""Which axes of a teacher's frames tell emotions? The frames of pre-training speech, written as `features:FOLDER`.

    python studies/teacher_axes.py FOLDER ... --upstream whisper_base --layer 3 --output AXES [--cache DIR]
    python run_benchmark.py -u features:AXES/all features:AXES/utterances features:AXES/frames -t TASK -d probe_stats

AXES/utterances: along the axes that training takes, along which the means of utterances differ most (given_frames.py).
AXES/frames: along as many along which frames differ most. AXES/all: along all. Of all, the mean at each place in an
utterance is taken away first. Frames that a run has computed for the same folders are used again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from commons import places
from upstreams.pretraining.given_frames import GivenFrames
from upstreams.pretraining.pack import Bounds, build
from upstreams.pretraining.recipe_sections import TeacherFrames

BOUNDS = Bounds(1.0, 20.0)  # seconds, those of the recipe `lever`


def along_frames(given: GivenFrames, utterances: int) -> np.ndarray:
    """(D, width): the principal axes of all frames."""
    depth = given.means.shape[1]
    products, count = np.zeros((depth, depth)), 0
    for utterance in range(utterances):
        frames = given.centred(utterance).astype(np.float64)
        products, count = products + frames.T @ frames, count + len(frames)
    principal: np.ndarray = np.linalg.eigh(products / count)[1][:, ::-1][:, : given.width]
    return principal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--layer", type=int)
    parser.add_argument("--width", type=int, default=64, help="axes that are kept")
    parser.add_argument("--output", type=Path, required=True)
    places.add_to(parser, "cache")
    options = parser.parse_args()
    pack = build(options.folders, places.chosen(options).cache, BOUNDS)
    given = GivenFrames(pack, TeacherFrames(upstream=options.upstream, layer=options.layer, width=options.width))
    depth = given.means.shape[1]
    ways = {"all": np.eye(depth), "utterances": given.axes, "frames": along_frames(given, len(pack))}
    names = dict(zip(pack.files.tolist(), pack.names, strict=True))
    if len(set(names.values())) < len(names):
        raise SystemExit("files of several folders have one name; give one folder at a time")
    for number, name in names.items():
        frames = np.concatenate([given.centred(part) for part in np.flatnonzero(pack.files == number).tolist()])
        for way, axes in ways.items():
            file = options.output / way / f"{name}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, (frames @ axes).astype(np.float16))
    print(f"{len(names)} files, {given.width} of {depth} axes: {options.output}")


if __name__ == "__main__":
    main()
