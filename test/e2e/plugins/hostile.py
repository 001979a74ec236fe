# SPDX-License-Identifier: Apache-2.0
"""Tries what no plugin may, and says what came of each attempt. One result for each: {"Attempt": name, "Got": text}.

"refused: …" is an attempt that the system turned down; anything else is what the plugin got hold of. Targets of its
own making come from the plugin's configuration: profile, otherEvent, otherProgram, otherUID, target, planeURL,
storeURL.
"""

import ctypes
import http.client
import json
import os
import pathlib
import resource
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from mre_plugin import Result, featurer, run

RUNTIME = os.environ["AWS_LAMBDA_RUNTIME_API"]
API = f"http://{RUNTIME}/x.execute-api.us-east-1.amazonaws.com/api"
OWN = os.environ["MRE_API"]
TRIES = []


def attempt(function):
    TRIES.append(function)
    return function


class Refused(Exception):
    pass


def http_call(url, method="GET", body=None, headers=None, timeout=10):
    data = body if body is None or isinstance(body, (bytes, bytearray)) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    try:
        # Whose certificate it is does not matter to who attacks.
        with urllib.request.urlopen(request, timeout=timeout, context=ssl._create_unverified_context()) as response:
            return f"{response.status} {response.read(300).decode(errors='replace')}"
    except urllib.error.HTTPError as e:
        raise Refused(f"{e.code} {e.read(200).decode(errors='replace')}") from None
    except (OSError, http.client.HTTPException) as e:
        raise Refused(f"{type(e).__name__} {e}") from None


def connect(host, port, timeout=3):
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as e:
        raise Refused(f"{type(e).__name__} {e}") from None
    return f"connected to {host}:{port}"


def read(path):
    try:
        return pathlib.Path(path).read_bytes()[:80].decode(errors="replace")
    except OSError as e:
        raise Refused(str(e)) from None


def write(path):
    try:
        with open(path, "wb") as file:
            file.write(b"hostile")
    except OSError as e:
        raise Refused(str(e)) from None
    return f"wrote {path}"


def result_body(ctx, **changes):
    return {
        "Program": ctx.event.program, "Event": ctx.event.name, "ProfileName": ctx.configuration["profile"],
        "ChunkSize": 6, "ProcessingFrameRate": 5,
        "Classifier": "segment-key-moment", "Filename": "x_00001.ts", "ChunkNumber": ctx.chunk.number,
        "PluginName": os.environ["MRE_PLUGIN"], "PluginClass": "Featurer", "Location": {"S3Bucket": "b", "S3Key": "k"},
        "Results": [{"Start": ctx.chunk.start / 1e6}], **changes,
    }


# ---- other people's data ------------------------------------------------------------------------------------------

@attempt
def another_events_results(ctx):
    return http_call(API + "/plugin/dependentplugins/output", "POST", {
        "Program": ctx.configuration["otherProgram"], "Event": ctx.configuration["otherEvent"], "ChunkNumber": 1,
        "DependentPlugins": [{"Name": "detect-audio-peaks", "SupportedMediaType": "Audio"}], "AudioTrack": 1})


@attempt
def write_into_another_event(ctx):
    return http_call(API + "/plugin/result", "POST", result_body(ctx, Event=ctx.configuration["otherEvent"]))


@attempt
def another_events_segments(ctx):
    event = urllib.parse.quote(ctx.configuration["otherEvent"], safe="")
    program = urllib.parse.quote(ctx.configuration["otherProgram"], safe="")
    return http_call(f"{API}/segments/all/program/{program}/event/{event}/classifier/segment-key-moment/replay")


@attempt
def another_events_variables(ctx):
    event = urllib.parse.quote(ctx.configuration["otherEvent"], safe="")
    program = urllib.parse.quote(ctx.configuration["otherProgram"], safe="")
    return http_call(f"{API}/event/{event}/program/{program}/context-variables")


@attempt
def another_events_media(ctx):
    return http_call(f"{API}/media/mre/mre-e2e%2F{ctx.configuration['otherUID']}%2Funits%2F0%2F0.ts")


@attempt
def media_by_path_tricks(ctx):
    return http_call(f"{API}/media/mre/..%2F..%2F..%2Fetc%2Fpasswd")


@attempt
def file_by_path_tricks(ctx):
    return http_call(f"{OWN}/media/..%2F..%2Fetc%2Fpasswd")


@attempt
def file_by_dots(ctx):
    connection = http.client.HTTPConnection(RUNTIME, timeout=10)
    connection.request("GET", "/mre/v1/media/../../../../etc/passwd")
    response = connection.getresponse()
    body = response.read(200).decode(errors="replace")
    if response.status >= 300:
        raise Refused(f"{response.status} {body}")
    return body


@attempt
def attributes_on_a_segment_that_is_not_there(ctx):
    event, program = urllib.parse.quote(ctx.event.name, safe=""), urllib.parse.quote(ctx.event.program, safe="")
    return http_call(f"{API}/event/{event}/program/{program}/classifier/segment-key-moment/start/123456.789"
                     "/attrName/A/attrVal/B", "PUT")


@attempt
def sql_in_a_name(ctx):
    return http_call(f"{OWN}/prompts/" + urllib.parse.quote("x' OR '1'='1"))


# ---- credentials --------------------------------------------------------------------------------------------------

@attempt
def agents_token(ctx):
    return read("/var/run/secrets/mre/token")


@attempt
def serviceaccount_token(ctx):
    return read("/var/run/secrets/kubernetes.io/serviceaccount/token")


@attempt
def environments_of_others(ctx):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            text = path.read_bytes()
        except OSError:
            continue
        if b"MRE_PLUGIN=" + os.environ["MRE_PLUGIN"].encode() not in text and text:
            found.append(f"{path}: {text[:60]!r}")
    if not found:
        raise Refused("no process but the plugin's own is seen")
    return "; ".join(found)


@attempt
def token_through_proc(ctx):
    for path in pathlib.Path("/proc").glob("[0-9]*/root/var/run/secrets/*/token"):
        return read(path)
    raise Refused("no token below /proc")


@attempt
def agents_control_socket(ctx):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect("/mre/run/agent.sock")
    except OSError as e:
        raise Refused(str(e)) from None
    return "connected"


# ---- the data plane and the store, past the agent -----------------------------------------------------------------

@attempt
def data_plane_without_a_token(ctx):
    return http_call(f"{ctx.configuration['planeURL']}/v1/events/{ctx.event.uid}/segments", timeout=5)


@attempt
def data_plane_with_a_forged_token(ctx):
    return http_call(f"{ctx.configuration['planeURL']}/v1/events/{ctx.event.uid}/lease", "POST",
                     {"pool": "work", "holder": "hostile", "waitSeconds": 0},
                     {"Authorization": "Bearer e30.e30.e30"}, timeout=5)


@attempt
def store_without_a_signature(ctx):
    return http_call(f"{ctx.configuration['storeURL']}/mre/", timeout=5)


@attempt
def store_by_a_forged_signature(ctx):
    return http_call(f"{ctx.configuration['storeURL']}/mre/?X-Amz-Algorithm=AWS4-HMAC-SHA256"
                     "&X-Amz-Credential=mre%2F20260101%2Fus-east-1%2Fs3%2Faws4_request"
                     "&X-Amz-Date=20260101T000000Z&X-Amz-Expires=604800&X-Amz-SignedHeaders=host&X-Amz-Signature=00",
                     timeout=5)


# ---- leases and answers -------------------------------------------------------------------------------------------

@attempt
def answer_of_a_stale_run(ctx):
    return http_call(f"http://{RUNTIME}/2018-06-01/runtime/invocation/1-1/response", "POST",
                     {"Mre": {"contract": "v1", "results": []}})


@attempt
def answer_of_a_run_by_path_tricks(ctx):
    return http_call(f"http://{RUNTIME}/2018-06-01/runtime/invocation/..%2F..%2F1-1/response", "POST", {})


@attempt
def oversize_answer(ctx):
    return http_call(f"http://{RUNTIME}/2018-06-01/runtime/invocation/999-1/response", "POST", bytes(20 << 20))


@attempt
def results_of_another_run(ctx):
    return http_call(API + "/plugin/result", "POST", result_body(ctx, ExecutionId="x"))


@attempt
def malformed_results(ctx):
    return http_call(API + "/plugin/result", "POST", b'{"Results": [')


@attempt
def results_that_are_no_numbers(ctx):
    return http_call(API + "/plugin/result", "POST",
                     json.dumps(result_body(ctx, Results=[{"Start": float("nan")}])).encode())


@attempt
def results_far_away(ctx):
    return http_call(API + "/plugin/result", "POST", result_body(ctx, Results=[{"Start": 1e15, "End": 2e15}]))


@attempt
def oversize_results(ctx):
    return http_call(API + "/plugin/result", "POST",
                     result_body(ctx, Results=[{"Start": ctx.chunk.start / 1e6, "Blob": "x" * (30 << 20)}]))


@attempt
def too_many_results(ctx):
    return http_call(API + "/plugin/result", "POST", result_body(
        ctx, Results=[{"Start": ctx.chunk.start / 1e6 + i / 1e3} for i in range(200000)]), timeout=30)


@attempt
def oversize_variable(ctx):
    event, program = urllib.parse.quote(ctx.event.name, safe=""), urllib.parse.quote(ctx.event.program, safe="")
    return http_call(f"{API}/event/{event}/program/{program}/context-variables", "PATCH", {"Flood": "x" * (2 << 20)})


@attempt
def endless_header(ctx):
    return http_call(f"{OWN}/variables", headers={"X-Endless": "x" * (4 << 20)})


# ---- the node and the network -------------------------------------------------------------------------------------

@attempt
def api_server(ctx):
    return connect("kubernetes.default.svc", 443)


@attempt
def kubelet(ctx):
    return connect("10.97.0.1", 10250)


@attempt
def cloud_metadata(ctx):
    return connect("169.254.169.254", 80)


@attempt
def another_pod(ctx):
    host, port = ctx.configuration["target"].rsplit(":", 1)
    return connect(host, int(port))


# ---- the container ------------------------------------------------------------------------------------------------

@attempt
def write_the_chunk(ctx):
    return write(ctx.media_path)


@attempt
def replace_the_supervisor(ctx):
    return write("/mre/bin/mre")


@attempt
def write_into_the_image(ctx):
    return write("/opt/plugins/mre_plugin/__init__.py")


@attempt
def become_root(ctx):
    try:
        os.setuid(0)
    except OSError as e:
        raise Refused(str(e)) from None
    return f"uid {os.getuid()}"


@attempt
def mount_something(ctx):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"proc", b"/tmp", b"proc", 0, None) != 0:
        raise Refused(os.strerror(ctypes.get_errno()))
    return "mounted"


@attempt
def kill_process_one(ctx):
    try:
        os.kill(1, 9)
    except OSError as e:
        raise Refused(str(e)) from None
    time.sleep(0.5)
    raise Refused("process 1 does not hear it")


# ---- using up -----------------------------------------------------------------------------------------------------

@attempt
def many_processes(ctx):
    children = []
    try:
        for _ in range(5000):
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            children.append(pid)
        return f"{len(children)} processes"
    except OSError as e:
        raise Refused(f"after {len(children)} processes: {e}") from None
    finally:
        for pid in children:
            os.kill(pid, 9)
            os.waitpid(pid, 0)


@attempt
def many_connections(ctx):
    host, port = RUNTIME.split(":")
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    for _ in range(500):
        try:
            s = socket.create_connection((host, int(port)), 2)
            s.sendall(b"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
            held.append(s)
        except OSError:
            break
    # The port is the plugin's own; that the agent lives is what counts.
    for s in held:
        s.close()
    http_call(f"{OWN}/variables", timeout=10)
    raise Refused(f"{len(held)} connections did not end the agent")


@attempt
def questions_for_work_side_by_side(ctx):
    got = []

    def ask():
        try:
            got.append(http_call(f"http://{RUNTIME}/2018-06-01/runtime/invocation/next", timeout=2))
        except Refused:
            pass
    threads = [threading.Thread(target=ask) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if got:
        return f"{len(got)} invocations: {got[0]}"
    raise Refused("no invocation was handed out twice")


@featurer
def detect(ctx):
    if ctx.chunk.number != 1:
        return
    only = ctx.configuration.get("only")
    for function in TRIES:
        if only is not None and function.__name__ != only:
            continue
        if only is None and function in (questions_for_work_side_by_side,):
            continue  # it ends the run, so it is tried in an Event of its own
        try:
            got = function(ctx)
        except Refused as e:
            got = f"refused: {e}"
        except Exception as e:  # what the attempt itself got wrong is no proof of anything
            got = f"broken attempt: {type(e).__name__}: {e}"
        yield Result(start=ctx.chunk.start, attributes={"Attempt": function.__name__, "Got": got[:300]})


run()
