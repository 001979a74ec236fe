# SPDX-License-Identifier: Apache-2.0
"""Speaks the Runtime API and answers what no contract knows."""

import http.client
import os

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    response = api.getresponse()
    response.read()
    task = response.headers["Lambda-Runtime-Aws-Request-Id"]
    api.request("POST", f"/2018-06-01/runtime/invocation/{task}/response", b"\xff\xfe{[42, not JSON")
    api.getresponse().read()
