# SPDX-License-Identifier: Apache-2.0
"""Handlers of the four classes, written the way MRE's plugins are: the state is fetched, results are saved and
returned, a failure is noted and raised. What they find depends on the chunk alone, so that tests know the truth."""

from helper_standin import ControlPlane, DataPlane, OutputHelper, PluginHelper, Status


def plugin(find):
    """Makes a handler of a function that finds results."""

    def handler(event, context):
        output = OutputHelper(event)
        try:
            data, helper = DataPlane(event), PluginHelper(event)
            results = find(event, data, helper)
            output.add_results_to_output(results)
            data.save_plugin_results(results)
            output.update_plugin_status(Status.PLUGIN_COMPLETE)
            return output.get_output_object()
        except Exception:
            output.update_plugin_status(Status.PLUGIN_ERROR)
            raise

    return handler


@plugin
def scenes(event, data, helper):
    """Downloads the chunk and finds a scene for each unit in it."""
    with open(data.download_media(), encoding="ascii") as media:
        units = sorted({int(word.split()[1]) for word in media.read().split(";") if word})
    chunk = event["Input"]["Metadata"]["HLSSegment"]
    assert float(data.get_chunk_start_time(chunk["StartTime"])) == chunk["StartTime"]
    assert data.get_frame_timecode(0) == chunk["StartTime"]
    assert data.get_frame_timecode(25, pts=True) == chunk["StartPtsTime"] + 1
    names = ["near", "far", "far", "far", "far", "near"]
    return [
        {
            "Start": helper.get_segment_absolute_time(i * 5),
            "End": helper.get_segment_absolute_time(i * 5 + 4),
            "Label": names[unit],
            "unit": unit,
        }
        for i, unit in enumerate(units)
    ]


@plugin
def volley(event, data, helper):
    """Reads its dependant's output of this chunk."""
    assert helper.get_dependent_plugins_configuration()["scenes"]["bias"] == "safe range"
    found = data.get_dependent_plugins_output()["scenes"]
    return [{"Start": row["Start"] + 1, "Volley": row["Label"] == "far"} for row in found]


@plugin
def noise(event, data, helper):
    """Runs once for each audio track."""
    track = event["TrackNumber"]
    assert track in event["Event"]["AudioTracks"]
    start, end = helper.get_segment_absolute_time(2), helper.get_segment_absolute_time(2 + track)
    return [{"Start": start, "End": end, "Loud": track}]


@plugin
def moments(event, data, helper):
    """A segment runs from the first volley to the first row without one, however many chunks that takes. How often
    it was seen is remembered in a context variable."""
    control = ControlPlane(event)
    seen = control.get_event_context_variables()
    control.update_event_context_variables({"runs": seen.get("runs", 0) + 1, "Last_Theme": "volley"})
    assert control.get_event_context_variables()["Last_Theme"] == "volley"
    state, prior, dependants = data.get_segment_state()
    assert set(dependants) == {"volley", "noise"}, dependants
    start = prior["Start"] if state == "Start" else None
    results = []
    for row in dependants["volley"]:
        if row["Volley"] and start is None:
            start = row["Start"]
        elif not row["Volley"] and start is not None:
            tracks = sorted({n["AudioTrack"] for n in dependants["noise"]})
            results.append({"Start": start, "End": row["Start"], "tracks": tracks})
            start = None
    if start is not None:
        results.append({"Start": start})
    return results


@plugin
def cutter(event, data, helper):
    """Moves a start back to the detection that ends before it, and an end on to the one that overlaps it."""
    results = []
    for segment in data.get_segment_state_for_optimization(3):
        row = segment["Segment"]
        result = {
            "Start": row["Start"],
            "End": row["End"],
            "OptoStartCode": "Unsuccessful",
            "OptoEndCode": "Unsuccessful",
        }
        for detector in segment["DependentDetectorsOutput"]:
            for side, edge in (("Start", "Start"), ("End", "End")):
                if side in detector:
                    result[f"Opto{side}"] = detector[side][0][edge]
                    result[f"Opto{side}Code"] = "Opto succeeded"
        results.append(result)
    return results


@plugin
def namer(event, data, helper):
    """Counts volleys in the segment, in the words of a prompt."""
    template = ControlPlane(event).get_prompt_template("describe scene")
    results = []
    for segment in data.get_segment_state_for_labeling():
        row = segment["Segment"]
        if row["Start"] == row["End"]:
            continue
        count = sum(1 for v in segment["DependentPluginsOutput"]["volley"] if v["Volley"])
        label = template["Template"].format(count=count, start=row["Start"])
        results.append(
            {"Start": row["Start"], "End": row["End"], "LabelCode": "Succeeded", "Label": label, "Score": count}
        )
        data.add_attribute_to_existing_segment(row["Start"], "named by", event["Plugin"]["Name"])
    return results


def failing(event, context):
    """Says that it failed without raising."""
    output = OutputHelper(event)
    output.update_plugin_status(Status.PLUGIN_ERROR)
    return output.get_output_object()


def raising(event, context):
    raise ValueError("no ball in sight")


@plugin
def key_moment(event, data, helper):
    """A segment around each volley of its first dependant, which gives it its name, as MRE's SegmentByKeyMoment
    does."""
    first, second = event["Plugin"]["DependentPlugins"]
    assert [d["Name"] for d in event["Profile"]["Classifier"]["DependentPlugins"]][:2] == [first, second]
    state, prior, dependants = data.get_segment_state()
    assert list(dependants) == [first, second], dependants
    if prior:
        assert prior["PluginName"] == event["Plugin"]["Name"], prior
        assert prior[first] is True, prior
    rows = [row for row in dependants[first] if row["Volley"]]
    assert all(row["PluginName"] == first for row in rows), rows
    return [{"Start": row["Start"] - 3, "End": row["Start"] + 3, first: True} for row in rows]


@plugin
def outward(event, data, helper):
    """Moves each mark a second outward, into the neighbours."""
    results = []
    for segment in data.get_segment_state_for_optimization(3):
        seen = list(dict.fromkeys(d["DependentDetector"] for d in segment["DependentDetectorsOutput"]))
        assert seen == event["Plugin"]["DependentPlugins"], seen
        row = segment["Segment"]
        results.append(
            {
                "Start": row["Start"],
                "End": row["End"],
                "OptoStart": row["Start"] - 1,
                "OptoStartCode": "Opto succeeded",
                "OptoEnd": row["End"] + 1,
                "OptoEndCode": "Opto succeeded",
            }
        )
    return results


@plugin
def by_configuration(event, data, helper):
    """Reads the dependant that its configuration names by MRE's name, as MRE's LabelTennisScore does."""
    name = event["Plugin"]["Configuration"]["dependent_plugin_name"]
    results = []
    for segment in data.get_segment_state_for_labeling():
        row = segment["Segment"]
        count = sum(1 for v in segment["DependentPluginsOutput"][name] if v["Volley"])
        results.append(
            {"Start": row["Start"], "End": row["End"], "LabelCode": "Succeeded", "Label": f"{count} by {name}"}
        )
        data.add_attribute_to_existing_segment(row["Start"], "named by", event["Plugin"]["Name"])
    return results
