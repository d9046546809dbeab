"""Storage: databases that services keep their records in, SQLite or PostgreSQL.

Start reading at `database.py`; `schema.py` migrates.
"""
