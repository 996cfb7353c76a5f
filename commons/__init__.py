"""The ground floor: what every room may import. It imports no room, and torch only inside functions."""
