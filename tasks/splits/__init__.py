"""Splits of a task: the rules that make folds (`folds`), their use on a task (`problems`), their proof (`audit`)."""
