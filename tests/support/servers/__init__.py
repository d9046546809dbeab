"""Real servers for tests: PostgreSQL, S3 (SeaweedFS) and Valkey, from packages, without root.

Each is a context manager (`postgres()`, `s3()`, `valkey()`) and a fixture that lives as long as
the session, with one more fixture for what each test needs for itself: a new database, a new
prefix in the bucket, an empty keyspace. They listen on 127.0.0.1 only, and die with the process
that started them. `kill` and `start` may be called in between: data stays.
"""
