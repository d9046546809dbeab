"""The client: speaks to a library over HTTP, waiting or awaited.

Start reading at `urza_client.py`.
"""
