"""Copies of corpora on disk: where they lie (`search`), what their audio holds (`audio`), and words for messages."""
