"""Encoders of transformers behind the contract: a table of named ones, any folder or repository, random weights."""
