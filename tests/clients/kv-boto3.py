"""What caches of KV blocks do with an S3 client, by boto3: LMCache by virtual hosts, Dynamo by paths. Prints one line of JSON."""
import json
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

plain = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: plain("127.0.0.1", *rest, **more)


def client(port, id, secret, style):
    return boto3.client(
        "s3",
        endpoint_url=f"http://localhost:{port}",
        region_name="us-east-1",
        aws_access_key_id=id,
        aws_secret_access_key=secret,
        config=Config(s3={"addressing_style": style}, retries={"max_attempts": 1}, max_pool_connections=32),
    )


def status(call):
    try:
        return call()["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def blocks(s3, bucket, style):
    found = {}
    key = f"model@8@0@{style}@bfloat16"
    block = os.urandom(5_000_011)
    found["miss"] = status(lambda: s3.head_object(Bucket=bucket, Key=key))
    s3.put_object(Bucket=bucket, Key=key, Body=block)
    found["length"] = s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(block)
    found["whole"] = s3.get_object(Bucket=bucket, Key=key)["Body"].read() == block
    part = s3.get_object(Bucket=bucket, Key=key, Range="bytes=1000000-1999999")["Body"].read()
    found["range"] = part == block[1000000:2000000]

    def lock(n):
        return status(lambda: s3.put_object(Bucket=bucket, Key=f"lock {style}", Body=b"", IfNoneMatch="*"))

    with ThreadPoolExecutor(8) as pool:
        found["locks"] = sorted(pool.map(lock, range(8)))
    name = f"/tmp/{os.getpid()}-{style}.bin"
    with open(name, "wb") as file:
        file.write(block * 4)
    try:
        parts = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20)
        s3.upload_file(name, bucket, f"large {style}", Config=parts)
        s3.download_file(bucket, f"large {style}", name, Config=parts)
        with open(name, "rb") as file:
            found["parts"] = file.read() == block * 4
    finally:
        os.unlink(name)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    found["listed"] = sorted(key for key in keys if style in key)
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in found["listed"]]})
    found["deleted"] = status(lambda: s3.delete_object(Bucket=bucket, Key=key))
    found["after"] = status(lambda: s3.head_object(Bucket=bucket, Key=key))
    return found


port, bucket, id, secret = sys.argv[1:]
print(json.dumps({style: blocks(client(port, id, secret, style), bucket, style) for style in ("virtual", "path")}))
