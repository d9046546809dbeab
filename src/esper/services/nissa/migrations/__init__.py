"""Migrations: how the run store's tables came to be, one step a file, each with its way back.

Start reading at `env.py`.
"""
