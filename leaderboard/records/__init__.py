"""Records of cells: how they are written, found, checked and verified; which of them may stand in one table."""
