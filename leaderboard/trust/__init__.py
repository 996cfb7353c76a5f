"""What a score hides, from predictions alone: whom a system fails, and whether its confidence can be trusted."""
