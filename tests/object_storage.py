"""A server that speaks S3's protocol, and the connection to it that Airflow's variables name."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

CONNECTION = "lake"


@dataclass(frozen=True)
class Bucket:
    """A bucket, seen through another client than Sluice's."""

    name: str
    client: Any

    def url(self, prefix: str) -> str:
        return f"s3://{CONNECTION}@{self.name}/{prefix}"

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return data

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix
        )
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


@contextmanager
def object_storage(home: Path) -> Iterator[Any]:
    """Start the server; yields a client of it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    before = {name: os.environ.get(name) for name in ("AIRFLOW_CONN_LAKE", "AIRFLOW_HOME")}
    os.environ["AIRFLOW_CONN_LAKE"] = json.dumps(
        {
            "conn_type": "aws",
            "login": "loader-key",
            "password": "loader-secret",
            "extra": {"endpoint_url": endpoint, "region_name": "us-east-1"},
        }
    )
    os.environ.setdefault("AIRFLOW_HOME", str(home / "airflow"))
    forget_connections()
    yield boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="other-key",
        aws_secret_access_key="other-secret",
    )
    server.stop()
    forget_connections()
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def new_bucket(client: Any) -> Bucket:
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    return Bucket(name, client)


def forget_connections() -> None:
    """Airflow keeps a file system for each connection, whose server is another one now."""
    from airflow.sdk.io import store

    store._STORE_CACHE.clear()
