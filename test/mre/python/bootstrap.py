# SPDX-License-Identifier: Apache-2.0
"""Runs a handler as a Lambda base image does: bootstrap.py MODULE.FUNCTION."""

import importlib
import json
import os
import sys
import traceback
import urllib.request

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime"


def post(path, body):
    request = urllib.request.Request(f"{API}/{path}", data=json.dumps(body).encode(), method="POST")
    urllib.request.urlopen(request).close()


def main():
    module, _, function = sys.argv[1].rpartition(".")
    handler = getattr(importlib.import_module(module), function)
    while True:
        with urllib.request.urlopen(f"{API}/invocation/next") as response:
            request_id, event = response.headers["Lambda-Runtime-Aws-Request-Id"], json.load(response)
        try:
            answer = handler(event, None)
        except Exception as error:
            post(
                f"invocation/{request_id}/error",
                {
                    "errorMessage": str(error),
                    "errorType": type(error).__name__,
                    "stackTrace": traceback.format_exc().splitlines(),
                },
            )
            continue
        post(f"invocation/{request_id}/response", answer)


main()
