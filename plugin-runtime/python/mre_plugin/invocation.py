# SPDX-License-Identifier: Apache-2.0
"""What a plugin is given for a task, as types. Keys that a newer operator adds are passed over."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Optional

from .times import Micros

CONTRACT = "v1"


@dataclass(frozen=True)
class Event:
    uid: str
    namespace: str
    name: str
    program: str


@dataclass(frozen=True)
class Task:
    kind: str  # featurer, segmenter, optimizer, labeler, or final: the segmenter's last run
    chunk: int
    attempt: int
    final: bool  # the source has ended: an open segment should be closed


@dataclass(frozen=True)
class Chunk:
    number: int
    start: Micros
    end: Micros  # exclusive
    first_frame: int
    frames: int

    def holds(self, time):
        return self.start <= time < self.end


@dataclass(frozen=True)
class AudioTrack:
    track: int  # from 1
    stream_index: int  # in the media file
    sample_rate: int
    channels: int
    language: str


@dataclass(frozen=True)
class Timeline:
    rate: Fraction  # frames a second
    width: int
    height: int
    origin_ticks: int  # PTS of the Event's first frame, at 90 kHz
    audio_tracks: tuple

    def frame_start(self, frame):
        """The time at which a frame starts."""
        return Micros(round(frame * 1_000_000 / self.rate))


@dataclass(frozen=True)
class Media:
    path: str
    url: str
    bytes: int


@dataclass(frozen=True)
class Detection:
    """A result of a featurer that this plugin depends on."""

    plugin: str
    start: Micros
    end: Micros
    track: int
    attributes: dict

    @property
    def is_point(self):
        return self.start == self.end


@dataclass(frozen=True)
class Segment:
    id: str
    state: str  # Open or Complete
    start: Micros
    end: Optional[Micros]  # None while it is open
    reported_start: Micros  # as the segmenter said it, before it was moved to the start of a frame
    attributes: dict
    label: str


@dataclass(frozen=True)
class Invocation:
    event: Event
    task: Task
    chunk: Chunk
    timeline: Timeline
    media: Optional[Media]
    track: int  # 0 for Video
    deadline_millis: int
    processing_frame_rate: Fraction
    configuration: dict
    model: Optional[dict]
    dependencies: dict
    segments: tuple
    neighbours: tuple
    previous_end: Micros
    max_segment: Micros
    raw: dict  # the whole JSON, MRE's own keys among it


def parse(raw):
    """An Invocation of the JSON that a plugin is invoked with."""
    if not isinstance(raw, dict) or "Mre" not in raw:
        raise ValueError('the invocation has no "Mre" key: is the operator older than this package?')
    m = raw["Mre"]
    if m.get("contract") != CONTRACT:
        raise ValueError(
            f'the invocation speaks contract {m.get("contract")!r}, this package {CONTRACT!r}: '
            "install its matching version"
        )
    return Invocation(
        event=Event(**_text(m["event"], "uid", "namespace", "name", "program")),
        task=Task(m["task"]["kind"], m["task"]["chunk"], m["task"].get("attempt", 1), m["task"].get("final", False)),
        chunk=_chunk(m["chunk"]),
        timeline=_timeline(m["timeline"]),
        media=_media(m.get("media")),
        track=m.get("track") or 0,
        deadline_millis=m["deadlineMillis"],
        processing_frame_rate=_rate(m["processingFrameRate"]),
        configuration=m.get("configuration") or {},
        model=m.get("model"),
        dependencies={
            name: [_detection(name, d) for d in found or []] for name, found in (m.get("dependencies") or {}).items()
        },
        segments=tuple(_segment(s) for s in m.get("segments") or []),
        neighbours=tuple(_segment(s) for s in m.get("neighbours") or []),
        previous_end=Micros(m.get("previousEndMicros") or 0),
        max_segment=Micros(m.get("maxSegmentMicros") or 0),
        raw=raw,
    )


def _text(values, *names):
    return {name: values.get(name, "") for name in names}


def _rate(value):
    return Fraction(value["num"], value["den"])


def _chunk(c):
    start, end = Micros(c["startMicros"]), Micros(c["endMicros"])
    return Chunk(c["number"], start, end, c.get("firstFrame", 0), c.get("frames", 0))


def _timeline(t):
    tracks = tuple(
        AudioTrack(
            a["track"],
            a.get("streamIndex", a["track"]),
            a.get("sampleRate", 0),
            a.get("channels", 0),
            a.get("language") or "",
        )
        for a in t.get("audioTracks") or []
    )
    return Timeline(_rate(t["rate"]), t.get("width", 0), t.get("height", 0), t.get("originTicks", 0), tracks)


def _media(m):
    return m and Media(m["path"], m.get("url", ""), m.get("bytes", 0))


def _detection(plugin, d):
    start, end = Micros(d["startMicros"]), Micros(d["endMicros"])
    return Detection(plugin, start, end, d.get("track") or 0, d.get("attributes") or {})


def _segment(s):
    end: Any = s.get("endMicros")
    return Segment(
        id=s["id"],
        state=s["state"],
        start=Micros(s["startMicros"]),
        end=None if end is None else Micros(end),
        reported_start=Micros(s.get("reportedStartMicros", s["startMicros"])),
        attributes=s.get("attributes") or {},
        label=s.get("label") or "",
    )
