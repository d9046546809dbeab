"""Benchmarks: scripts that print a table and write a dated result to docs/benchmarks/.

Start reading at `growth.py`; `make bench` runs `run.py`, `make bench-growth` runs `growth.py`.
"""
