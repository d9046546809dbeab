"""Orchestration: runs the growth cycle on a model while it trains.

Start reading at `orchestrator.py`.
"""
