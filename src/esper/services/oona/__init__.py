"""Oona, the bus: carries messages between the parts of the platform.

Start reading at `memory_bus.py`; `redis_bus.py` keeps the same promises, `link.py` sends for a run.
"""
