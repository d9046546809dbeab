"""Oona, the bus: carries messages between the parts of the platform.

Start reading at `open.py`, then `memory_bus.py`: the same promises as `redis_bus.py` makes, without
a server. `link.py` sends from a training run, `consumer.py` receives in a service.
"""
