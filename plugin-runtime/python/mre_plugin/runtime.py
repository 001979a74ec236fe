# SPDX-License-Identifier: Apache-2.0
"""The loop of a plugin: the AWS Lambda Runtime API, or one task on standard input and output."""

import http.client
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback

from . import invocation, registry
from .context import CONTEXTS, LOG

_API = "/2018-06-01/runtime"
_PAUSE_SECONDS = 0.5


def run(init=None):
    """Serve tasks with the functions that were decorated, until told to stop.

    init is called once before the first task, to load models. It does not return under the Lambda Runtime API.
    """
    serve(init)


def serve(*steps):
    """Take the steps that make the plugin ready, then serve. Under the Runtime API, a step's error is an init error."""
    _log_to_stderr()
    api = os.environ.get("AWS_LAMBDA_RUNTIME_API")
    if not api:
        sys.exit(_once(steps))
    if threading.current_thread() is threading.main_thread():
        # As process 1 of a container, Python would not hear SIGTERM at all.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    loop = _Loop(api)
    try:
        _start(steps)
    except Exception as e:
        loop.init_error(e)
        raise
    loop.serve()


def _start(steps):
    for step in steps:
        if step is not None:
            step()
    if not registry.HANDLERS:
        raise RuntimeError(
            "no function is decorated with @featurer, @segmenter, @optimizer or @labeler before run() is called"
        )


def answer(event):
    """The answer to an invocation, as JSON text. Tests of plugins may call it."""
    inv = invocation.parse(event)
    plugin_class, context_type = CONTEXTS.get(inv.task.kind, (inv.task.kind, None))
    handler = registry.HANDLERS.get(plugin_class)
    if context_type is None or handler is None:
        have = ", ".join("@" + name for name in registry.HANDLERS) or "none"
        raise RuntimeError(
            f"the Plugin is run as a {plugin_class}, but the code has no @{plugin_class} (it has {have})"
        )
    ctx = context_type(inv)
    body = {"contract": invocation.CONTRACT, **ctx.collect(handler(ctx))}
    if ctx.variables.staged:
        body["variables"] = ctx.variables.staged
    try:
        return json.dumps({"Mre": body}, allow_nan=False, default=_plain)
    except ValueError as e:
        raise ValueError(
            f"the answer cannot be written as JSON ({e}): leave out attributes that are not a number or infinite"
        ) from e


def _plain(value):
    """Numbers and arrays of numpy as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(
        f"an attribute is a {type(value).__name__}, which JSON does not know: "
        "use text, numbers, booleans, lists and dicts"
    )


def failure(e):
    """An exception as the Runtime API tells it."""
    return {
        "errorType": type(e).__name__,
        "errorMessage": str(e) or type(e).__name__,
        "stackTrace": [line.rstrip("\n") for line in traceback.format_exception(type(e), e, e.__traceback__)],
    }


class _Loop:
    def __init__(self, api):
        self._api = api
        self._connection = None

    def serve(self):
        while True:
            status, headers, body = self._call("GET", "/invocation/next")
            if status != 200:
                said = body[:1024].decode(errors="replace")
                raise RuntimeError(f"the Runtime API answers {status} to the question for work: {said}")
            self._work(headers["Lambda-Runtime-Aws-Request-Id"], body)

    def _work(self, request_id, body):
        try:
            path, said, kind = "response", answer(json.loads(body)), None
        except Exception as e:
            LOG.exception("the task failed")
            path, said, kind = "error", json.dumps(failure(e)), type(e).__name__
        status, _, why = self._call("POST", f"/invocation/{request_id}/{path}", said, kind)
        if status >= 300:
            LOG.warning("the agent does not take the %s: %d: %s", path, status, why[:1024].decode(errors="replace"))

    def init_error(self, e):
        status, _, why = self._call("POST", "/init/error", json.dumps(failure(e)), type(e).__name__)
        if status >= 300:
            LOG.warning("the agent does not take the init error: %d: %s", status, why[:1024].decode(errors="replace"))

    def _call(self, method, path, body=None, error_type=None):
        """One call. While the agent is away it is tried again: the agent restarts faster than a model loads."""
        headers = {"Lambda-Runtime-Function-Error-Type": error_type} if error_type else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = body.encode()
        told = False
        while True:
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(self._api)
                self._connection.request(method, _API + path, body, headers)
                response = self._connection.getresponse()
                return response.status, response.headers, response.read()
            except (OSError, http.client.HTTPException) as e:
                self._connection.close()
                self._connection = None
                if not told:
                    LOG.warning("the agent at %s is away: %s", self._api, e)
                    told = True
                time.sleep(_PAUSE_SECONDS)


def _once(steps):
    """One task from standard input to standard output; the exit status."""
    # What the function or a library prints must not get into the answer.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        _start(steps)
        said = answer(json.load(sys.stdin))
    except Exception:
        traceback.print_exc()
        return 1
    with out:
        out.write(said)
    return 0


def _log_to_stderr():
    if not logging.getLogger().handlers:
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
