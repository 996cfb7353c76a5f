"""Which axes of a teacher's frames tell emotions, and how much of them do other upstreams hold?

    python studies/teacher_axes.py FOLDER ... --upstream whisper_base --layer 3 --output AXES [--cache DIR]
    python run_benchmark.py -u features:AXES/all features:AXES/utterances features:AXES/frames -t TASK -d probe_stats
    python studies/teacher_axes.py FOLDER ... --upstream whisper_base --layer 3 --held emotion2vec whisper_tiny

AXES/utterances: along the axes that training takes, along which the means of utterances differ most (given_frames.py).
AXES/frames: along as many along which frames differ most. AXES/all: along all. Of all, the mean at each place in an
utterance is taken away first. `--held`: the share of the variance along the axes of training that a linear map from
each layer of an upstream explains, frame by frame, on utterances that it was not fitted on. Frames that a run has
computed for the same folders are used again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import upstreams
from commons import places
from upstreams.pretraining.given_frames import GivenFrames
from upstreams.pretraining.pack import Bounds, Pack, build
from upstreams.pretraining.recipe_sections import TeacherFrames

BOUNDS = Bounds(1.0, 20.0)  # seconds, those of the recipe `lever`
UTTERANCES, FITTED = 500, 0.7  # drawn for --held; the share of them that the map is fitted on
RIDGE = 1e-3  # strength, as a share of the number of frames


def along_frames(given: GivenFrames, utterances: int) -> np.ndarray:
    """(D, width): the principal axes of all frames."""
    depth = given.means.shape[1]
    products, count = np.zeros((depth, depth)), 0
    for utterance in range(utterances):
        frames = given.centred(utterance).astype(np.float64)
        products, count = products + frames.T @ frames, count + len(frames)
    principal: np.ndarray = np.linalg.eigh(products / count)[1][:, ::-1][:, : given.width]
    return principal


def write(given: GivenFrames, pack: Pack, output: Path) -> None:
    """The frames of every file along each kind of axes. Ends the script where two files have one name."""
    depth = given.means.shape[1]
    ways = {"all": np.eye(depth), "utterances": given.axes, "frames": along_frames(given, len(pack))}
    names = dict(zip(pack.files.tolist(), pack.names, strict=True))
    if len(set(names.values())) < len(names):
        raise SystemExit("files of several folders have one name; give one folder at a time")
    for number, name in names.items():
        frames = np.concatenate([given.centred(part) for part in np.flatnonzero(pack.files == number).tolist()])
        for way, axes in ways.items():
            file = output / way / f"{name}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, (frames @ axes).astype(np.float16))
    print(f"{len(names)} files, {given.width} of {depth} axes: {output}")


def held(given: GivenFrames, pack: Pack, name: str) -> None:
    """Print what share of the variance along the axes each layer of an upstream explains."""
    model = upstreams.load(name)
    some = np.random.default_rng(0).permutation(len(pack))[:UTTERANCES].tolist()
    fitted = int(FITTED * len(some))
    layers, wanted = list[np.ndarray](), list[np.ndarray]()
    for utterance in some:
        made = model([torch.from_numpy(pack.samples(utterance))])[0].float().numpy()
        own = given.centred(utterance) @ given.axes
        place = (np.arange(made.shape[1]) + 0.5) / made.shape[1] * len(own)
        layers.append(made)
        wanted.append(own[place.astype(int)])
    for layer in range(model.depth):
        train, test = (np.concatenate([one[layer] for one in part]) for part in (layers[:fitted], layers[fitted:]))
        linear = make_pipeline(StandardScaler(), Ridge(RIDGE * len(train))).fit(train, np.concatenate(wanted[:fitted]))
        share = r2_score(np.concatenate(wanted[fitted:]), linear.predict(test), multioutput="raw_values")
        parts = [share[:16].mean(), share[16:64].mean(), share[64:].mean()] if len(share) > 64 else [share.mean()]
        print(f"{name}, layer {layer}: {', '.join(f'{part:.2f}' for part in parts)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--layer", type=int)
    parser.add_argument("--width", type=int, default=64, help="axes that are kept")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--held", nargs="+", default=[], metavar="UPSTREAM")
    places.add_to(parser, "cache")
    options = parser.parse_args()
    pack = build(options.folders, places.chosen(options).cache, BOUNDS)
    given = GivenFrames(pack, TeacherFrames(upstream=options.upstream, layer=options.layer, width=options.width))
    if options.output:
        write(given, pack, options.output)
    for name in options.held:
        held(given, pack, name)


if __name__ == "__main__":
    main()
