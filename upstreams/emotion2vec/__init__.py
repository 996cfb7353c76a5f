"""emotion2vec: the network, its checkpoints, and its pre-training."""
