"""A real S3 server on loopback, by moto, in this process."""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import boto3
from moto.server import ThreadedMotoServer

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Variables of a process that uses the server."""
BUCKET = "bucket"


class S3Server(NamedTuple):
    """A running server."""

    port: int
    stop: Callable[[], None]
    """Ends the server before its block does."""

    @contextmanager
    def permissions_checked(self) -> Iterator[None]:
        """Let the server refuse, during the block, users that it has not been told about."""
        _tell(self.port, "reset-auth", "0")
        try:
            yield
        finally:
            _tell(self.port, "reset-auth", "inf")

    def address(self, bucket: str = BUCKET, folder: str = "runs") -> str:
        """Return the address of a folder of a bucket."""
        return s3_address(self.port, f"{bucket}/{folder}")


def s3_address(port: int, path: str = f"{BUCKET}/runs") -> str:
    """Return the address of a folder of a server on loopback, whether or not it runs."""
    return f"s3://{path}?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"


def _tell(port: int, operation: str, text: str) -> None:
    place = f"http://127.0.0.1:{port}/moto-api/{operation}"
    urllib.request.urlopen(urllib.request.Request(place, text.encode(), {"Content-Type": "text/plain"})).close()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start a server with one bucket; it ends with the block."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        _tell(port, "reset", "")  # what another server of this process has left
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket=BUCKET)
        yield S3Server(port, server.stop)
    finally:
        server.stop()
