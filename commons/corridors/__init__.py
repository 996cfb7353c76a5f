"""The plain things that pass between rooms, each typed once.

utterances (tasks -> upstreams), Problem (tasks -> downstreams), Features (upstreams -> downstreams),
Predictions (downstreams -> leaderboard), Measured (cells -> leaderboard), Record (-> leaderboard).
"""
