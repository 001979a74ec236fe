# SPDX-License-Identifier: Apache-2.0
"""HTTP to the agent beside the plugin: its own small API, at MRE_API."""

import json
import os
import urllib.error
import urllib.request


class AgentError(RuntimeError):
    """The agent refused a call, or could not be reached."""


def call(method, path, body=None, timeout=None):
    """An open response of the agent. The caller closes it."""
    base = os.environ.get("MRE_API")
    if not base:
        raise AgentError(
            f"{method} {path}: MRE_API is not set; frames, variables and prompts need the agent or mre plugin test"
        )
    data = None if body is None else json.dumps(body, allow_nan=False).encode()
    request = urllib.request.Request(base.rstrip("/") + "/" + path, data=data, method=method)
    if data is not None:
        request.add_header("Content-Type", "application/json")
    try:
        # A proxy of the environment is for the world outside, never for loopback.
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout)
    except urllib.error.HTTPError as e:
        with e:
            raise AgentError(f"{method} {path}: {e.code}: {e.read(4096).decode(errors='replace').strip()}") from None
    except urllib.error.URLError as e:
        raise AgentError(f"{method} {path}: {e.reason}") from None


def call_json(method, path, body=None, timeout=None):
    with call(method, path, body, timeout) as response:
        return json.load(response)
