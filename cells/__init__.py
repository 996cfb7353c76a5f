"""Cells, (upstream, task, downstream): requests, keys, plans, jobs, and the engines that run jobs.

This is the only package that imports the rooms: tasks -> upstreams -> downstreams -> leaderboard.
"""
