"""The joint: what a cell is, its key, what is missing, one cell as a job; and the engines that run jobs.

A cell is (upstream, task, downstream). Here the rooms meet: tasks -> upstreams -> downstreams -> leaderboard.
"""
