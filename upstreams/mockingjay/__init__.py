"""Mockingjay: a transformer that reconstructs masked frames of a spectrogram (Liu et al., ICASSP 2020)."""
