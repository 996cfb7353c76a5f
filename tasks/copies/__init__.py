"""Copies of corpora on disk: finding them (`search`), unpacking (`archives`), reading audio files (`audio`)."""
