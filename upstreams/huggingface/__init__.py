"""Encoders of transformers as upstreams: a table of named ones, any folder or repository, random weights."""
