"""Impulse responses of simulated rooms: the image sources of pyroomacoustics (Scheibler et al. 2018)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from upstreams.errors import UpstreamError

ROOMS = 3  # of each reverberation time; an utterance's content decides in which it is
SHAPES = ((1.0, 0.72, 0.42), (1.0, 0.81, 0.50), (1.0, 0.63, 0.36))  # width and height by length
PLACES = (((0.31, 0.37, 0.52), (0.72, 0.66, 0.44)), ((0.24, 0.58, 0.55), (0.67, 0.29, 0.40)),
          ((0.44, 0.29, 0.50), (0.78, 0.71, 0.46)))  # fmt: skip  # speaker and microphone, by the walls


@lru_cache(maxsize=8)
def response(seconds: float, room: int, rate: int) -> np.ndarray:
    """The impulse response of a room, from the direct sound on, whose largest value is 1 in size.

    The walls absorb alike, as Sabine's formula asks for this reverberation time. Longer ones belong to larger rooms:
    the longest wall is 4 m and 6 m a second. One thread computes it: the number of threads changes last digits.

    Raises:
        UpstreamError: pyroomacoustics is not installed.
    """
    try:
        import pyroomacoustics as simulator
    except ImportError as error:
        raise UpstreamError("reverb needs pyroomacoustics; install it with: pip install 'emorep[rooms]'") from error

    size = (4 + 6 * seconds) * np.array(SHAPES[room])
    absorption, order = simulator.inverse_sabine(seconds, size)
    threads = simulator.constants.get("num_threads")
    simulator.constants.set("num_threads", 1)
    try:
        box = simulator.ShoeBox(size, fs=rate, materials=simulator.Material(absorption), max_order=order)
        speaker, microphone = (size * np.array(place) for place in PLACES[room])
        box.add_source(speaker)
        box.add_microphone(microphone)
        box.compute_rir()
    finally:
        simulator.constants.set("num_threads", threads)
    made = np.asarray(box.rir[0][0], dtype=np.float64)
    direct = int(np.argmax(np.abs(made)))
    return made[direct:] / np.abs(made[direct])
