# SPDX-License-Identifier: Apache-2.0
"""A real HTTP server that plays the agent, and invocations to be given to plugins."""

import copy
import json
import os
import queue
import subprocess
import sys
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def invocation(kind="featurer", **more):
    """The JSON of a task. Members of Mre are replaced by name."""
    mre = {
        "contract": "v1",
        "event": {"uid": "u1", "namespace": "default", "name": "final", "program": "Open"},
        "task": {"kind": kind, "chunk": 2, "attempt": 1, "final": kind == "final"},
        "chunk": {"number": 2, "startMicros": 6_000_000, "endMicros": 12_000_000, "firstFrame": 150, "frames": 150},
        "timeline": {
            "rate": {"num": 30000, "den": 1001},
            "width": 640,
            "height": 360,
            "originTicks": 900000,
            "audioTracks": [{"track": 1, "streamIndex": 1, "sampleRate": 48000, "channels": 2, "language": "en"}],
        },
        "media": {
            "path": "/mre/media/1/Open_final_1_00002.ts",
            "url": "http://127.0.0.1:1/mre/v1/media/x",
            "bytes": 12,
        },
        "track": 0,
        "deadlineMillis": int((time.time() + 60) * 1000),
        "processingFrameRate": {"num": 5, "den": 1},
        "configuration": {"threshold": 3},
        "model": None,
        "dependencies": {},
        "segments": [],
        "previousEndMicros": 0,
        "maxSegmentMicros": 120_000_000,
        "someday": {"a": "key that is not known yet"},
    }
    mre.update(more)
    return {"Plugin": {"Name": "p"}, "Mre": copy.deepcopy(mre)}


def segment(start, end=None, **more):
    state = "Open" if end is None else "Complete"
    s = {"id": f"000001-{start}", "state": state, "startMicros": start, "reportedStartMicros": start}
    if end is not None:
        s["endMicros"] = end
    return {**s, "attributes": {}, "label": "", **more}


class Agent:
    """Serves the Runtime API and the plugin API, and keeps what it was told."""

    def __init__(self):
        self.work, self.said, self.calls = queue.Queue(), queue.Queue(), []
        self.variables = {"Theme": "weather", "Count": 1}
        self.frames = None  # (headers, body)
        agent = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                agent.get(self)

            def do_POST(self):
                agent.post(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = "127.0.0.1:%d" % self.server.server_address[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.work.put(None)
        self.server.shutdown()
        self.server.server_close()

    @property
    def environment(self):
        return {"AWS_LAMBDA_RUNTIME_API": self.address, "MRE_API": f"http://{self.address}/mre/v1"}

    def get(self, h):
        self.calls.append(("GET", h.path))
        if h.path.endswith("/invocation/next"):
            item = self.work.get()
            if item is None:
                return reply(h, 500, b"")
            request_id, event = item
            return reply(h, 200, json.dumps(event).encode(), {"Lambda-Runtime-Aws-Request-Id": request_id})
        if h.path.startswith("/mre/v1/frames") and self.frames:
            return reply(h, 200, self.frames[1], self.frames[0])
        if h.path == "/mre/v1/variables":
            return reply(h, 200, json.dumps({"variables": self.variables}).encode())
        if h.path.startswith("/mre/v1/prompts/Describe%20it"):
            prompt = {"name": "Describe it", "version": "v2", "template": "Say {what}"}
            return reply(h, 200, json.dumps(prompt).encode())
        return reply(h, 404, b"there is no such thing")

    def post(self, h):
        body = json.loads(h.rfile.read(int(h.headers["Content-Length"])))
        self.calls.append(("POST", h.path))
        if h.path.endswith("/swap"):
            name = h.path.split("/")[-2]
            swapped = self.variables.get(name) == body.get("expected")
            if swapped:
                self.variables[name] = body["value"]
            return reply(h, 200, json.dumps({"swapped": swapped, "current": self.variables.get(name)}).encode())
        if h.path.endswith("/infer"):
            self.said.put((h.path, body, None))
            doubled = [2 * v for v in body["inputs"][0]["data"]]
            out = {"outputs": [{"name": "y", "datatype": "FP32", "shape": body["inputs"][0]["shape"], "data": doubled}]}
            return reply(h, 200, json.dumps(out).encode())
        self.said.put((h.path, body, h.headers.get("Lambda-Runtime-Function-Error-Type")))
        return reply(h, 202, b"{}")


def reply(h, status, body, headers=None):
    h.send_response(status)
    for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
        h.send_header(name, str(value))
    h.send_header("Content-Length", str(len(body)))
    h.end_headers()
    h.wfile.write(body)


def start(directory, code, environment, module=False):
    """A process that runs a plugin's code."""
    path = os.path.join(directory, "my_plugin.py")
    with open(path, "w") as f:
        f.write(textwrap.dedent(code))
    command = [sys.executable, "-m", "mre_plugin", "my_plugin"] if module else [sys.executable, path]
    base = {k: v for k, v in os.environ.items() if k not in ("AWS_LAMBDA_RUNTIME_API", "MRE_API")}
    return subprocess.Popen(
        command,
        cwd=directory,
        env={**base, "PYTHONPATH": os.pathsep.join([PACKAGE, *sys.path]), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
