"""A card: one page on one representation, from its records; for a paper's appendix and a model's repository."""
