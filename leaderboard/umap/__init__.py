"""UMAP pictures: points of a task in the spaces of several upstreams, embedded and drawn side by side."""

LABELS = ("emotion", "speaker", "gender")  # that the points of a picture are coloured by
