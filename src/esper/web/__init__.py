"""Web: what every server of Esper's shares: problems, counters, an end in order.

Start reading at `draining.py`.
"""
