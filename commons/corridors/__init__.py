"""Types of the data that pass between rooms, each defined once.

utterances (tasks -> upstreams), Problem (tasks -> downstreams), Features (upstreams -> downstreams),
Predictions (downstreams -> leaderboard), Measured (cells -> leaderboard), Record (-> leaderboard).
"""
