"""An S3-compatible server as a process of its own: moto's, which tells what it was asked.

moto looks whether an object is there and then puts it; S3 does both at once. Here puts wait for each other, so that
conditional ones are what they are at S3.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.client import BaseClient

REGION = "eu-west-1"
KEYS = {"aws_access_key_id": "key-of-the-tests", "aws_secret_access_key": "secret-of-the-tests"}


@dataclass(frozen=True)
class ObjectStore:
    """A server that runs.

    :param url: its address
    :param log: file to which it writes a line of JSON for each request
    """

    url: str
    log: Path

    def client(self, service: str = "s3", **keys: str) -> BaseClient:
        """Give a client that asks the server, with the tests' own keys unless others are given."""
        import boto3

        return boto3.Session(**(keys or KEYS), region_name=REGION).client(service, endpoint_url=self.url)

    def bucket(self, name: str) -> str:
        """Make a bucket, where there is none of this name."""
        client = self.client()
        if name not in {one["Name"] for one in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Give the names of a bucket's objects."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def user(self, name: str, *statements: dict[str, Any]) -> dict[str, str]:
        """Make a user with a policy; return keys of theirs. They mean nothing before :meth:`enforce`."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}

    def enforce(self, wanted: bool) -> None:
        """From now on check keys, signatures and policies, or don't."""
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/moto-api/reset-auth",
            data=b"0" if wanted else b"inf",
            headers={"Content-Type": "text/plain"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            pass

    def environment(self) -> dict[str, str]:
        """Give what lets a process reach the server by its environment."""
        return {
            **{name.upper(): value for name, value in KEYS.items()},
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def requests(self) -> list[dict[str, Any]]:
        """Give the requests that were answered: method, path, query, if_none_match, session token, key and status."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def object_store(folder: Path, *, conditional: bool = True, put_seconds: float = 0) -> Iterator[ObjectStore]:
    """Run a server with nothing in it.

    :param folder: where its log goes
    :param conditional: whether it knows conditional puts; without, it is a store that passes over their condition
    :param put_seconds: how long a put is under way before the store looks at it
    """
    log = folder / "object_store.jsonl"
    log.touch()
    with (folder / "object_store.err").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, __file__, str(log), str(int(conditional)), str(put_seconds)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true"},
        )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, (folder / "object_store.err").read_text()
        yield ObjectStore(f"http://127.0.0.1:{port}", log)
    finally:
        process.terminate()
        process.wait(timeout=30)


class Logged:
    """The server's application, with a line in the log for each answer."""

    def __init__(self, application: Any, log: Path, conditional: bool, put_seconds: float) -> None:
        self.application, self.log = application, log
        self.conditional, self.put_seconds = conditional, put_seconds
        self.writing, self.putting = threading.Lock(), threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer."""
        entry = {
            "method": environ["REQUEST_METHOD"],
            "path": environ["PATH_INFO"],
            "query": environ.get("QUERY_STRING", ""),
            "if_none_match": environ.get("HTTP_IF_NONE_MATCH"),
            "token": environ.get("HTTP_X_AMZ_SECURITY_TOKEN"),
            "key": environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition("/")[0],
        }

        def start(status: str, *arguments: Any) -> Any:
            self._write({**entry, "status": int(status.split(" ", 1)[0])})
            return start_response(status, *arguments)

        if environ["REQUEST_METHOD"] != "PUT":
            return self.application(environ, start)
        time.sleep(self.put_seconds)
        if not self.conditional:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with self.putting:
            return self.application(environ, start)

    def _write(self, entry: dict[str, Any]) -> None:
        with self.writing, self.log.open("a") as stream:
            stream.write(json.dumps(entry) + "\n")


def serve(log: Path, conditional: bool, put_seconds: float) -> None:
    """Serve until the process is ended; the first line of its output is its port."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    application = Logged(DomainDispatcherApplication(create_backend_app), log, conditional, put_seconds)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2] == "1", float(sys.argv[3]))
