"""Tables: one model (model.py), views that fill it from records, and its renderings."""
