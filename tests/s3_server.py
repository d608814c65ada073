"""An S3-compatible server for tests, as a process of its own, that checks who asks and what he may; and a line to it that can be cut."""

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress

import boto3

from tests.redis_server import free_port
from tradeul.store.lake_objects import Bucket

SECONDS = 20
BUCKET = "lake"
RIGHTS = {
    "all": ["s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
    "reads": ["s3:ListBucket", "s3:GetObject"],
    "none": [],
}


class S3Server:
    """Users by what they may: `RIGHTS`; ``keys`` are theirs."""

    def __init__(self):
        self.url = f"http://127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", self.url.rpartition(":")[2]]
        silence = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        open_to_all = {"INITIAL_NO_AUTH_ACTION_COUNT": "1000"}
        self._process = subprocess.Popen(command, env=os.environ | open_to_all, **silence)
        self.keys = {}

    def prepare(self):
        port, deadline = int(self.url.rpartition(":")[2]), time.monotonic() + SECONDS
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert self._process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        anybody = {"endpoint_url": self.url, "region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "a"}
        boto3.client("s3", **anybody).create_bucket(Bucket=BUCKET)
        iam = boto3.client("iam", **anybody)
        for name, actions in RIGHTS.items():
            iam.create_user(UserName=name)
            key = iam.create_access_key(UserName=name)["AccessKey"]
            self.keys[name] = key["AccessKeyId"], key["SecretAccessKey"]
            if actions:
                allowed = [{"Effect": "Allow", "Action": actions, "Resource": "*"}]
                document = json.dumps({"Version": "2012-10-17", "Statement": allowed})
                iam.put_user_policy(UserName=name, PolicyName="lake", PolicyDocument=document)
        headers = {"Content-Type": "text/plain"}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/moto-api/reset-auth", b"0", headers, method="POST")):
            pass  # from now on keys and rights count

    def bucket(self, who="all", *, prefix=None, **other):
        """A place of its own in the bucket, unless ``prefix`` names one."""
        key, secret = self.keys[who]
        asked = {"url": f"s3://{BUCKET}/{prefix or secrets.token_hex(6)}", "key": key, "secret": secret, "endpoint": self.url}
        return Bucket(**asked | other)

    def stop(self):
        self._process.terminate()
        self._process.wait(SECONDS)


@contextmanager
def running_s3():
    server = S3Server()
    try:
        server.prepare()
        yield server
    finally:
        server.stop()


def settings_of(bucket):
    return {"lake_url": bucket.url, "lake_endpoint": bucket.endpoint, "lake_key": bucket.key, "lake_secret": bucket.secret}


class Line:
    """A port that passes everything on to the server and keeps what was asked; it may be cut after so many bytes to the server."""

    def __init__(self, url):
        self._there = ("127.0.0.1", int(url.rpartition(":")[2]))
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self.cut_after_bytes = None
        self.asked = []  # "GET /lake?list-type=2...", as sent
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                return
            far = socket.create_connection(self._there)
            threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source, target, counts):
        passed = 0
        with suppress(OSError), source, target:
            while piece := source.recv(1 << 16):
                if counts:
                    passed += len(piece)
                    first = piece.partition(b" HTTP/1.1\r\n")[0]
                    if len(first) < len(piece):
                        self.asked.append(first.decode(errors="replace"))
                    if self.cut_after_bytes is not None and passed > self.cut_after_bytes:
                        break
                target.sendall(piece)
            for end in (source, target):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._door.close()
