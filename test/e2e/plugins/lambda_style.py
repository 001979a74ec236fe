# SPDX-License-Identifier: Apache-2.0
"""A handler in the style of MRE's plugins, without any package of ours: it asks the façade and saves by it."""

import json
import os
import re
import urllib.request

API = os.environ["AWS_LAMBDA_RUNTIME_API"]


def call(url, method="GET", body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    with urllib.request.urlopen(request) as response:
        return response.headers, response.read()


def endpoint(name):
    _, body = call(os.environ["AWS_ENDPOINT_URL_SSM"], "POST", {"Names": [name]},
                   {"X-Amz-Target": "AmazonSSM.GetParameters", "Content-Type": "application/x-amz-json-1.1"})
    return json.loads(body)["Parameters"][0]["Value"]


DATA_PLANE = endpoint("/MRE/DataPlane/EndpointURL")


def handler(event):
    media = event["Input"]["Media"]
    start = event["Input"]["Metadata"]["HLSSegment"]["StartTime"]
    key = media["S3Key"].replace("/", "%2F").replace(" ", "%20")
    url = call(f"{DATA_PLANE}/media/{media['S3Bucket']}/{key}")[1].decode()
    size = len(call(url)[1])
    number = int(re.search(r"_0*(\d+)\.ts$", media["S3Key"]).group(1))
    results = [{"Start": start, "End": start + 1, "Label": f"chunk {number}", "Bytes": size}]
    plugin, profile = event["Plugin"], event["Profile"]
    call(f"{DATA_PLANE}/plugin/result", "POST", {
        "Program": event["Event"]["Program"], "Event": event["Event"]["Name"], "ProfileName": profile["Name"],
        "ChunkSize": profile["ChunkSize"], "ProcessingFrameRate": profile["ProcessingFrameRate"],
        "Classifier": profile["Classifier"]["Name"], "ExecutionId": event["Input"]["ExecutionId"],
        "Filename": media["S3Key"].split("/")[-1], "ChunkNumber": number, "PluginName": plugin["Name"],
        "PluginClass": plugin["Class"], "Location": media, "Results": results,
    })
    return {"Event": event["Event"], "Input": event["Input"], "Output": {
        "PluginName": plugin["Name"], "PluginClass": plugin["Class"], "ExecutionType": plugin["ExecutionType"],
        "DependentPlugins": plugin["DependentPlugins"], "ModelEndpoint": plugin.get("ModelEndpoint", ""),
        "Configuration": plugin["Configuration"], "OutputAttributes": plugin["OutputAttributes"],
        "Status": "Complete", "Results": results}}


while True:
    headers, body = call(f"http://{API}/2018-06-01/runtime/invocation/next")
    task = headers["Lambda-Runtime-Aws-Request-Id"]
    call(f"http://{API}/2018-06-01/runtime/invocation/{task}/response", "POST", handler(json.loads(body)))
