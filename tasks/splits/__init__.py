"""Splits of a task: the rules for folds (`folds`), their use on a task (`problems`), their proof (`audit`)."""
