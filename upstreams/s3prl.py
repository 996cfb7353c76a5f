"""Any upstream of s3prl, with the features that s3prl's own code gives for one utterance at a time."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import isclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, cast

from commons.errors import EmorepError, UnknownName
from upstreams.errors import REFUSED_PICKLE, UpstreamError, described
from upstreams.fingerprints import hash_weights, recipe, version
from upstreams.huggingface.named_encoders import MODELS
from upstreams.s3prl_settings import Coded, plain_in
from upstreams.torchaudio_repair import repair_for_s3prl

if TYPE_CHECKING:
    import torch

    from upstreams.huggingface.named_encoders import Seen
    from upstreams.s3prl_training import Trainable

ADAPTER = 1  # part of the fingerprint: raise it when the features made of an upstream's output change
PROBE = (400, 800, 1600, 3200, 8000, 16000)  # samples; the first length that works is the receptive field
UNTRAINED = ("fbank", "fbank_no_cmvn", "linear", "mel", "mfcc", "spectrogram", "stft_mag")
HF = "hf_"  # how names of upstreams begin that call transformers
SAME = {  # s3prl's names of models in our table, which says what they were trained on
    "wav2vec2_base_960": "wav2vec2_base",
    "wav2vec2": "wav2vec2_base",
    "wav2vec2_large_ll60k": "wav2vec2_large",
    "hubert": "hubert_base",
    "hubert_base": "hubert_base",
    "hubert_large_ll60k": "hubert_large",
    "wavlm": "wavlm_base_plus",
    "wavlm_base": "wavlm_base",
    "wavlm_base_plus": "wavlm_base_plus",
    "wavlm_large": "wavlm_large",
    "data2vec": "data2vec_base",
    "data2vec_base_960": "data2vec_base",
    "data2vec_large_ll60k": "data2vec_large",
    "xls_r_300m": "xlsr_300m",
}


class Expert(Protocol):
    """An upstream of s3prl: a torch module whose call gives, under "hidden_states", (B, T, D) of each layer."""

    def __call__(self, waveforms: list[torch.Tensor], /) -> dict[str, Sequence[torch.Tensor]]: ...

    def get_downsample_rates(self, key: str, /) -> int | Sequence[int]: ...

    def to(self, device: str, /) -> Expert: ...


class S3prl:
    """An upstream ("expert") of s3prl's hub: the hidden states of its forward pass, layer by layer.

    It takes waveforms of one length, because s3prl's padded batches change features. s3prl normalises the waveform as
    the settings of the checkpoint say. The frames are those of the model; `S3PRLUpstream` would repeat the last frame
    until there are ceil(samples / hop).
    """

    sample_rate, max_seconds = 16000, 30.0
    normalisation = "s3prl's own: as the checkpoint's settings say"

    def __init__(self, name: str, checkpoint: str = "") -> None:
        self.name, self.title = name, f"{name} of s3prl"
        self.source, self._checkpoint = Path(checkpoint).name, checkpoint
        self._expert = _expert(name, checkpoint)
        self.min_samples, first = self._shortest()
        layers = self._layers(first)
        self.depth, self.width = layers.shape[1], layers.shape[3]
        rates = self._expert.get_downsample_rates("hidden_states")
        self.hop: int = rates if isinstance(rates, int) else int(rates[0])

    @property
    def seen(self) -> Seen:
        if self.name in UNTRAINED:
            return {}
        return MODELS[SAME[self.name]].seen if self.name in SAME and not self.source else "unknown"

    def fingerprint(self) -> str:
        packages = ("s3prl", "torch", "torchaudio", *(("transformers",) if self.name.startswith(HF) else ()))
        versions = [version(package) for package in packages]
        return recipe(
            kind="s3prl", adapter=ADAPTER, name=self.name, versions=versions, weights=hash_weights(self._expert)
        )

    def network(self) -> Expert:
        """The upstream of s3prl itself."""
        return self._expert

    def trainable(self) -> Trainable:
        """It for fine-tuning: built anew, since a copy would give its hidden states to the hooks of this one."""
        from upstreams.s3prl_training import Trainable

        return Trainable(cast("torch.nn.Module", _expert(self.name, self._checkpoint)), self._layers)

    def to(self, device: str) -> None:
        self._expert.to(device)

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        return list(self._layers(self._expert(waveforms)["hidden_states"]))

    def _shortest(self) -> tuple[int, Sequence[torch.Tensor]]:
        """Its receptive field, and the hidden states of noise of that length."""
        import torch

        for samples in PROBE:
            noise = torch.randn(samples, generator=torch.Generator().manual_seed(0))
            try:
                with torch.inference_mode(), warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message=r"std\(\): degrees of freedom")  # of one frame
                    hidden = self._expert([noise])["hidden_states"]
                if all(layer.shape[1] > 0 and layer.isfinite().all() for layer in hidden):
                    return samples, hidden
                failure = "no frames, or NaN"
            except Exception as error:
                failure = f"{type(error).__name__}: {error}"
        raise UpstreamError(f"s3prl:{self.name} cannot run on a second of noise: {failure}")

    def _layers(self, hidden: Sequence[torch.Tensor]) -> torch.Tensor:
        """(B, L, T, D); layers are cut to the fewest frames. Raises UpstreamError: layers differ in width."""
        import torch

        widths = sorted({layer.shape[2] for layer in hidden})
        if len(widths) > 1:
            raise UpstreamError(f"s3prl:{self.name} has layers of {widths} values; one width is needed")
        frames = min(layer.shape[1] for layer in hidden)
        return torch.stack([layer[:, :frames] for layer in hidden], dim=1)


def cite(name: str) -> tuple[str, ...]:
    """BibTeX keys of the papers of an upstream of s3prl; empty unless it is a model in our table."""
    return MODELS[SAME[name]].cite if name in SAME else ()


def refuse_unknown(name: str) -> None:
    """Raises UnknownName: s3prl has no upstream of that name. Imports s3prl only if its source files do not show it."""
    spec = importlib.util.find_spec("s3prl")
    if spec is None or spec.origin is None:
        return  # building it raises the error that says what to install
    sources = Path(spec.origin).parent.glob("upstream/*/hubconf.py")
    if not any(f"\ndef {name}(" in source.read_text(encoding="utf-8", errors="replace") for source in sources):
        _hub(name)


def _hub(name: str) -> ModuleType:
    """s3prl's hub. Raises UnknownName: it has no such upstream; UpstreamError: a package is missing."""
    logging.getLogger("s3prl").setLevel(logging.ERROR)  # it warns of every package that any of its upstreams needs
    try:
        repair_for_s3prl()
        hub = importlib.import_module("s3prl.hub")
    except ImportError as error:
        raise UpstreamError(
            f"s3prl:{name} needs the package {error.name or error}; pip install {error.name}"
        ) from error
    known = [option for option in hub.options() if not isclass(getattr(hub, option))]  # without helper classes
    if name not in known:
        raise UnknownName("upstream of s3prl", name, known)
    return hub


def _expert(name: str, checkpoint: str) -> Expert:
    """The upstream itself. Raises UnknownName; UpstreamError: a package or file is missing, or a file is refused."""
    hub = _hub(name)
    if name.endswith(("_local", "_custom")) and not checkpoint:
        raise UpstreamError(f"s3prl:{name} needs a checkpoint: s3prl:{name}@FILE")
    try:
        with _careful(name):
            expert = getattr(hub, name)(**({"ckpt": checkpoint} if checkpoint else {}))
    except EmorepError:
        raise
    except Coded as error:
        raise UpstreamError(f"s3prl:{name}: {checkpoint or 'its checkpoint'} is refused: {error}") from error
    except ImportError as error:
        raise UpstreamError(
            f"s3prl:{name} needs the package {error.name or error}; pip install {error.name}"
        ) from error
    except Exception as error:
        refused = "UnpicklingError" in type(error).__name__
        of = checkpoint or "its checkpoint"
        raise UpstreamError(
            f"s3prl:{name}: {of} {REFUSED_PICKLE}"
            if refused
            else f"s3prl:{name} cannot be built from {of}: {described(error)}"
        ) from error
    return expert.eval().requires_grad_(False)


@contextmanager
def _careful(name: str) -> Iterator[None]:
    """A context for building: no checkpoint can run code, and an error names what could not be downloaded."""
    import torch
    from s3prl.util import download

    load, fetch = torch.load, download._download
    generator = torch.get_rng_state()

    def weights_only(*arguments: object, **options: object) -> object:
        with torch.serialization.safe_globals([Namespace]):  # holds settings in older checkpoints
            return load(*arguments, **{**options, "weights_only": True})

    def fetch_or_explain(filepath: Path, url: str, *arguments: object, **options: object) -> None:
        try:
            fetch(filepath, url, *arguments, **options)
        except Exception as error:
            raise UpstreamError(
                f"s3prl:{name}: cannot download {url} ({type(error).__name__}). Get it on a machine with a network and "
                f"copy it here as {filepath}"
            ) from error

    torch.load, download._download = weights_only, fetch_or_explain
    torch.manual_seed(0)  # some keep a random waveform that they draw for a test of themselves
    try:
        with plain_in("s3prl"):
            yield
    finally:
        torch.load, download._download = load, fetch
        torch.set_rng_state(generator)
