"""Performs one command per line of standard input with boto3; answers with one line of JSON each."""
import base64
import json
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config


class Door:
    def __init__(self, endpoint, bucket, id, secret, part):
        self.bucket = bucket
        self.parts = TransferConfig(multipart_threshold=part, multipart_chunksize=part)
        self.s3 = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=id,
            aws_secret_access_key=secret,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )

    def upload(self, key, file):
        with open(file, "rb") as body:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def upload_in_parts(self, key, file):
        self.s3.upload_file(file, self.bucket, key, Config=self.parts)

    def download(self, key, file):
        self.s3.download_file(self.bucket, key, file, Config=self.parts)

    def range(self, key, start, end):
        answer = self.s3.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={start}-{end - 1}")
        return base64.b64encode(answer["Body"].read()).decode()

    def list(self, prefix):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def copy(self, source, target):
        self.s3.copy_object(Bucket=self.bucket, Key=target, CopySource={"Bucket": self.bucket, "Key": source})

    def remove(self, key):
        self.s3.delete_object(Bucket=self.bucket, Key=key)


def main():
    door = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if door is None:
                door, result = Door(**command), None
            else:
                result = getattr(door, command["do"])(*command["args"])
            answer = {"result": result}
        except Exception as error:  # the test shows what went wrong
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
