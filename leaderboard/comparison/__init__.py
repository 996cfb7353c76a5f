"""Who is better than whom: statistics of differences, tests by swapping groups, ranks."""
