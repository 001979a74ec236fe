# SPDX-License-Identifier: Apache-2.0
"""Makes the HTTP calls that MRE's plugin helper makes, so that handlers in the style of MRE's samples can be tested
where that helper cannot be installed. Its names are the helper's; its code is our own. Standard library only.
"""

import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request


class MREExecutionError(Exception):
    """Asks for another attempt."""


class Status:
    PLUGIN_COMPLETE = "Complete"
    PLUGIN_ERROR = "Error"


def _send(method, url, body=None, headers=None, service="execute-api"):
    """One call as the helper makes it: signed, repeated on what may pass, raising on what does not."""
    signed = dict(headers or {})
    key, region = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_REGION"]
    signed["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/20260601/{region}/{service}/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
    )
    data = body.encode() if isinstance(body, str) else body
    # A blank leaves as %20, whatever else is in the path stays.
    url = urllib.parse.quote(url, safe=":/?&=%,;@+$#!*'()~[]-._")
    for attempt in range(6):
        request = urllib.request.Request(url, data=data, headers=signed, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            if error.code not in (429, 500, 503, 504) or attempt == 5:
                raise RuntimeError(f"{method} {url}: {error.code} {text}") from error
        except urllib.error.URLError:
            if attempt == 5:
                raise
        time.sleep(0.3 * 2**attempt)


def _endpoints():
    """Asks the parameter store, once, when this module is imported."""
    names = ["/MRE/DataPlane/EndpointURL", "/MRE/ControlPlane/EndpointURL"]
    answer = _send(
        "POST",
        os.environ["AWS_ENDPOINT_URL_SSM"] + "/",
        json.dumps({"Names": names}),
        {"X-Amz-Target": "AmazonSSM.GetParameters", "Content-Type": "application/x-amz-json-1.1"},
        "ssm",
    )
    found = {p["Name"]: p["Value"] for p in json.loads(answer)["Parameters"]}
    for url in found.values():
        assert re.match(".*.execute-api." + os.environ["AWS_REGION"] + ".amazonaws.com/api/.*", url), url
    return [found[n] for n in names]


_DATA, _CONTROL = _endpoints()


class OutputHelper:
    def __init__(self, event):
        self._event = event
        self._status, self._results = "", []
        self._metadata = event["Input"].get("Metadata", {})

    def update_plugin_status(self, status):
        self._status = status

    def add_metadata(self, **kv):
        self._metadata.update(kv)

    def add_results_to_output(self, results):
        for r in results:
            for key in ("Start", "End", "OptoStart", "OptoEnd"):
                if key in r:
                    r[key] = round(r[key], 3)
        self._results = results

    def get_output_object(self):
        plugin, event = self._event["Plugin"], self._event["Event"]
        out = {
            "Event": {k: event[k] for k in ("Name", "Program", "AudioTracks")},
            "Input": {**self._event["Input"], "Metadata": self._metadata},
            "Output": {
                "PluginName": plugin["Name"],
                "PluginClass": plugin["Class"],
                "ExecutionType": plugin["ExecutionType"],
                "DependentPlugins": plugin["DependentPlugins"],
                "ModelEndpoint": plugin.get("ModelEndpoint", ""),
                "Configuration": plugin["Configuration"],
                "OutputAttributes": plugin["OutputAttributes"],
                "Status": self._status,
                "Results": self._results,
            },
        }
        if "TrackNumber" in self._event:
            out["TrackNumber"] = self._event["TrackNumber"]
        return out


class PluginHelper:
    def __init__(self, event):
        self._event = event

    def get_plugin_configuration(self):
        return self._event["Plugin"]["Configuration"]

    def get_dependent_plugins_configuration(self):
        found, profile = {}, self._event["Profile"]
        sections = [profile[s] for s in ("Classifier", "Optimizer", "Labeler") if s in profile]
        sections += profile.get("Featurers", [])
        for name in self._event["Plugin"]["DependentPlugins"]:
            for section in sections:
                hits = [d for d in section["DependentPlugins"] if d["Name"] == name]
                if hits:
                    found[name] = hits[0]["Configuration"]
                    break
        return found

    def get_segment_absolute_time(self, seconds, pts=False):
        chunk = self._event["Input"]["Metadata"]["HLSSegment"]
        return round(chunk["StartPtsTime" if pts else "StartTime"] + seconds, 3)


class DataPlane:
    def __init__(self, event):
        self._event = event
        self._program, self._name = event["Event"]["Program"], event["Event"]["Name"]
        self._profile, self._plugin, self._media = event["Profile"], event["Plugin"], event["Input"]["Media"]
        self._file = self._media["S3Key"].split("/")[-1]
        self._chunk = int(os.path.splitext(self._file)[0].split("_")[-1].lstrip("0"))
        self._start = event["Input"]["Metadata"]["HLSSegment"]["StartTime"]
        self._track = event.get("TrackNumber")

    def invoke_dataplane_api(self, path, method, body=None):
        return _send(method, f"{_DATA}/{path.lstrip('/')}", body, {"Content-Type": "application/json"})

    def _post(self, path, **body):
        body = {"Program": self._program, "Event": self._name, **body}
        return json.loads(self.invoke_dataplane_api(path, "POST", json.dumps(body)))

    def get_media_presigned_url(self):
        key = urllib.parse.quote(self._media["S3Key"], safe="")
        return self.invoke_dataplane_api(f"media/{self._media['S3Bucket']}/{key}", "GET")

    def download_media(self):
        folder = os.path.join(os.environ["HOME"], "mre", "media")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        path = os.path.join(folder, self._file)
        with urllib.request.urlopen(self.get_media_presigned_url()) as response, open(path, "wb") as out:
            shutil.copyfileobj(response, out)
        return path

    def get_chunk_start_time(self, reference_time, pts=False):
        suffix = "" if pts else "?pts=false"
        text = self.invoke_dataplane_api(
            f"metadata/chunk/start/{self._program}/{self._name}/{self._profile['Name']}/{reference_time}{suffix}", "GET"
        )
        return None if text == "null" else text

    def get_frame_timecode(self, frame, pts=False):
        suffix = "" if pts else "?pts=false"
        path = f"metadata/timecode/{self._program}/{self._name}/{self._file}/{frame}{suffix}"
        return float(self.invoke_dataplane_api(path, "GET"))

    def save_plugin_results(self, results):
        if not results:
            return None
        body = {
            "ProfileName": self._profile["Name"],
            "ChunkSize": self._profile["ChunkSize"],
            "ProcessingFrameRate": self._profile["ProcessingFrameRate"],
            "Classifier": self._profile["Classifier"]["Name"],
            "ExecutionId": self._event["Input"]["ExecutionId"],
            "Filename": self._file,
            "ChunkNumber": self._chunk,
            "PluginName": self._plugin["Name"],
            "PluginClass": self._plugin["Class"],
            "ModelEndpoint": self._plugin.get("ModelEndpoint", ""),
            "OutputAttributesNameList": list(self._plugin["OutputAttributes"]),
            "Location": self._media,
            "Results": results,
        }
        if self._track:
            body["AudioTrack"] = self._track
        return self._post("plugin/result", **body)

    def get_segment_state(self):
        body = {
            "PluginName": self._plugin["Name"],
            "DependentPlugins": self._plugin["DependentPlugins"],
            "ChunkNumber": self._chunk,
            "ChunkStart": self._start,
            "MaxSegmentLength": self._profile["MaxSegmentLengthSeconds"],
            "LastEvaluatedKeys": {},
        }
        results, state, prior = {}, None, {}
        while True:
            page = self._post("workflow/segment/state", **body)
            state, prior, keys = page["State"], page["PriorSegment"], {}
            for name, rows in page["DependentPluginResults"].items():
                results.setdefault(name, []).extend(rows["Items"])
                if "LastEvaluatedKey" in rows:
                    keys[name] = rows["LastEvaluatedKey"]
            if not keys:
                return [state, prior or {}, results]
            body["LastEvaluatedKeys"] = keys

    def _segments(self, path, member, body):
        out = []
        while True:
            page = self._post(path, **body)
            if "Segment" not in page:
                return out
            segment = page["Segment"]["Item"]
            found = page[member]
            if isinstance(found, dict):
                found = {name: rows["Items"] for name, rows in found.items()}
            out.append({"Segment": segment, member: found})
            if "LastEvaluatedKey" not in page["Segment"]:
                return out
            body["LastEvaluatedKey"] = page["Segment"]["LastEvaluatedKey"]

    def get_segment_state_for_labeling(self):
        return self._segments(
            "workflow/labeling/segment/state",
            "DependentPluginsOutput",
            {
                "Classifier": self._profile["Classifier"]["Name"],
                "DependentPlugins": self._plugin["DependentPlugins"],
                "ChunkNumber": self._chunk,
            },
        )

    def get_segment_state_for_optimization(self, search_window_sec=0):
        own = self._plugin["DependentPlugins"]
        detectors = [d for d in self._profile["Optimizer"]["DependentPlugins"] if d["Name"] in own]
        body = {
            "ChunkNumber": self._chunk,
            "Classifier": self._profile["Classifier"]["Name"],
            "SearchWindowSeconds": search_window_sec,
            "Detectors": [{"Name": d["Name"], "SupportedMediaType": d["SupportedMediaType"]} for d in detectors],
        }
        if self._track:
            body["AudioTrack"] = self._track
        return self._segments("workflow/optimization/segment/state", "DependentDetectorsOutput", body)

    def get_dependent_plugins_output(self, audio_track=1):
        media = {}
        profile = self._profile
        sections = [profile[s] for s in ("Classifier", "Optimizer", "Labeler") if s in profile]
        for section in sections + profile.get("Featurers", []):
            media.update({d["Name"]: d["SupportedMediaType"] for d in section["DependentPlugins"]})
        page = self._post(
            "plugin/dependentplugins/output",
            ChunkNumber=self._chunk,
            DependentPlugins=[{"Name": n, "SupportedMediaType": media[n]} for n in self._plugin["DependentPlugins"]],
            AudioTrack=self._track or audio_track,
        )
        return {name: rows["Items"] for name, rows in page.items()}

    def add_attribute_to_existing_segment(self, start, name, value):
        classifier = self._profile["Classifier"]["Name"]
        path = (
            f"event/{self._name}/program/{self._program}/classifier/{classifier}"
            f"/start/{start}/attrName/{name}/attrVal/{value}"
        )
        return json.loads(self.invoke_dataplane_api(path, "PUT"))


class ControlPlane:
    def __init__(self, event):
        self._path = f"event/{event['Event']['Name']}/program/{event['Event']['Program']}/context-variables"

    def invoke_controlplane_api(self, path, method, body=None):
        return _send(method, _CONTROL + path, body, {"Content-Type": "application/json"})

    def get_event_context_variables(self):
        return json.loads(self.invoke_controlplane_api(self._path, "GET"))

    def update_event_context_variables(self, body):
        return json.loads(self.invoke_controlplane_api(self._path, "PATCH", json.dumps(body)))

    def get_prompt_template(self, name, version="v0"):
        return json.loads(self.invoke_controlplane_api(f"prompt/{urllib.parse.quote(name)}/version/{version}", "GET"))
