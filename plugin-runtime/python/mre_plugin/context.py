# SPDX-License-Identifier: Apache-2.0
"""What a plugin's function sees of its task."""

import logging
import time
from urllib.parse import quote, urlencode

from . import agent
from .answers import Label, Optimized, Result, attributes_of
from .frames import frames
from .model import Model
from .times import micros
from .variables import Variables

LOG = logging.getLogger("mre_plugin")


class Context:
    """Common to all classes."""

    answers = None  # the type that the function yields
    member = None  # where it goes in the answer

    def __init__(self, inv):
        self.invocation = inv
        self.event = inv.event
        self.task = inv.task
        self.chunk = inv.chunk
        self.timeline = inv.timeline
        self.track = inv.track
        self.configuration = inv.configuration
        self.dependencies = inv.dependencies
        self.variables = Variables()
        self.log = LOG
        # Where messages of an attempt belong.
        self.where = f"event {inv.event.name}, chunk {inv.chunk.number}"

    @property
    def media_path(self):
        """The chunk as one file, or None where no media came."""
        return self.invocation.media and self.invocation.media.path

    @property
    def deadline(self):
        """When the run is ended, as seconds of the epoch."""
        return self.invocation.deadline_millis / 1000

    @property
    def remaining_seconds(self):
        """What is left until the run is ended."""
        return max(0.0, self.deadline - time.time())

    @property
    def processing_frame_rate(self):
        """How many frames a second plugins should look at."""
        return self.invocation.processing_frame_rate

    def frames(self, width=320, gray=True, rate=None):
        """Frames of the chunk at the processing rate, one after the other. None where no media came."""
        return frames(self.invocation, width, gray, rate, self._patience())

    def prompt(self, name, version=None):
        """The text of a prompt template; its newest version when none is named."""
        query = "?" + urlencode({"version": version}) if version else ""
        return agent.call_json("GET", f"prompts/{quote(name, safe='')}{query}", timeout=self._patience())["template"]

    @property
    def model(self):
        """The Model that the Profile picked, or None."""
        m = self.invocation.model
        return m and Model(m["name"], m["protocol"], m["address"], self._patience())

    def detections(self, plugin=None):
        """Results of the plugins that this one depends on, or of one of them, by time."""
        names = self.dependencies if plugin is None else [plugin]
        found = [d for name in names for d in self.dependencies[name]]
        return sorted(found, key=lambda d: (d.start, d.end))

    def _patience(self):
        return max(1.0, self.remaining_seconds)

    def collect(self, returned):
        """The answer of what the function returned or yielded."""
        answers = [] if returned is None else list(returned)
        for a in answers:
            if not isinstance(a, self.answers):
                raise TypeError(f"a {self.task.kind} yields {self.answers.__name__}, not {type(a).__name__}")
        return {self.member: [a.wire() for a in answers]}


class FeaturerContext(Context):
    answers, member = Result, "results"


class SegmenterContext(Context):
    """Opens and closes segments. They come by time, never overlap, and one at most is open."""

    answers, member = type(None), "segments"

    def __init__(self, inv):
        super().__init__(inv)
        self._updates = []
        self._current = next(
            (_Update(s.start, s.id, dict(s.attributes)) for s in inv.segments if s.state == "Open"), None
        )
        self._end = inv.previous_end

    @property
    def is_open(self):
        return self._current is not None

    @property
    def open_start(self):
        """Where the open segment starts, or None."""
        return self._current and self._current.start

    @property
    def open_attributes(self):
        """The open segment's attributes, or None."""
        return self._current and dict(self._current.attributes)

    @property
    def earliest(self):
        """The end of the segment before: the next one cannot start earlier."""
        return self._end

    @property
    def final(self):
        """True in the last run, after the source has ended: what is open should be closed."""
        return self.task.final

    def open(self, start, attributes=None):
        """Open a segment. It may be closed in this chunk or in any later one."""
        start = micros(start, "the start of a segment")
        if self._current:
            raise ValueError(
                f"a segment is open since {self._current.start} µs; close it before another one is opened at {start} µs"
            )
        if start < self._end:
            raise ValueError(
                f"the segment would start at {start} µs and overlap the one before, which ends at {self._end} µs: "
                "use max(start, ctx.earliest)"
            )
        if start >= self.chunk.end:
            raise ValueError(
                f"the segment would start at {start} µs, after the chunk's end at {self.chunk.end} µs: "
                "open it in the chunk it starts in"
            )
        self._current = _Update(start, None, attributes_of(attributes, "a segment"))
        self._updates.append(self._current)

    def describe(self, attributes):
        """Add attributes to the open segment."""
        self._open_one("describe").attributes.update(attributes_of(attributes, "a segment"))

    def close(self, end, attributes=None, reason=None):
        """Close the open segment. Its end is exclusive, and may lie beyond the chunk."""
        end = micros(end, "the end of a segment")
        current = self._open_one("close")
        if end <= current.start:
            raise ValueError(
                f"the segment would end at {end} µs, but it starts at {current.start} µs: nothing would be left"
            )
        current.attributes.update(attributes_of(attributes, "a segment"))
        current.end, current.reason = end, reason
        self._current, self._end = None, end

    def segment(self, start, end, attributes=None):
        """A whole segment: open and close at once."""
        self.open(start, attributes)
        self.close(end)

    def _open_one(self, what):
        current = self._current
        if current is None:
            raise ValueError(f"there is no open segment to {what}: ctx.is_open says so")
        if current not in self._updates:
            self._updates.append(current)
        return current

    def collect(self, returned):
        if returned is not None and list(returned):
            raise TypeError("a segmenter yields nothing: it calls ctx.open, ctx.close and ctx.segment")
        return {self.member: [u.wire() for u in self._updates]}


class _Update:
    def __init__(self, start, segment_id, attributes):
        self.start, self.id, self.attributes = start, segment_id, attributes
        self.end = self.reason = None

    def wire(self):
        out = {"startMicros": self.start, "attributes": self.attributes}
        if self.id is not None:
            out["id"] = self.id
        if self.end is not None:
            out["endMicros"] = self.end
        if self.reason is not None:
            out["closeReason"] = self.reason
        return out


class _OfSegments(Context):
    @property
    def segments(self):
        """The segments that this run is about."""
        return self.invocation.segments

    def during(self, segment, plugin=None, margin=0):
        """Detections that lie, with a part at least, in the segment or this near to it."""
        margin = micros(margin, "the margin")
        end = segment.start if segment.end is None else segment.end
        return [d for d in self.detections(plugin) if d.start <= end + margin and d.end >= segment.start - margin]


class OptimizerContext(_OfSegments):
    answers, member = Optimized, "optimized"

    @property
    def neighbours(self):
        """Segments before and after, which limit how far marks may move."""
        return self.invocation.neighbours


class LabelerContext(_OfSegments):
    answers, member = Label, "labels"


# By the kind of task. The last run of a segmenter is a kind of its own.
CONTEXTS = {
    "featurer": ("featurer", FeaturerContext),
    "segmenter": ("segmenter", SegmenterContext),
    "final": ("segmenter", SegmenterContext),
    "optimizer": ("optimizer", OptimizerContext),
    "labeler": ("labeler", LabelerContext),
}
