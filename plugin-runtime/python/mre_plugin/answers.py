# SPDX-License-Identifier: Apache-2.0
"""What plugins answer."""

from dataclasses import dataclass, field
from typing import Any, Optional

from .times import Micros, micros


def attributes_of(value, what):
    """A copy of attributes, whose names must be text."""
    if value is None:
        return {}
    if not hasattr(value, "items"):
        raise TypeError(f"{what}: attributes are a dict, not {type(value).__name__}")
    for name in value:
        if not isinstance(name, str) or not name:
            raise TypeError(f"{what}: the attribute name {name!r} is not text")
    return dict(value)


@dataclass
class Result:
    """Something that a featurer found. Without an end it is a point in time. Ends are exclusive."""

    start: Micros
    end: Optional[Micros] = None
    attributes: dict = field(default_factory=dict)

    def __post_init__(self):
        self.start = micros(self.start, "the start of a Result")
        self.end = self.start if self.end is None else micros(self.end, "the end of a Result")
        if self.end < self.start:
            raise ValueError(f"a Result ends at {self.end} µs, before its start at {self.start} µs")
        self.attributes = attributes_of(self.attributes, "a Result")

    def wire(self):
        return {"startMicros": self.start, "endMicros": self.end, "attributes": self.attributes}


@dataclass
class Optimized:
    """Better marks for a segment. A mark that is left out stays, with the code "Not moved"."""

    segment: Any
    start: Optional[Micros] = None
    end: Optional[Micros] = None
    start_code: Optional[str] = None
    end_code: Optional[str] = None

    def __post_init__(self):
        self.start_code = self.start_code or ("Not moved" if self.start is None else "Moved")
        self.end_code = self.end_code or ("Not moved" if self.end is None else "Moved")
        if self.segment.end is None:
            raise ValueError(f"segment {self.segment.id} is open; only complete segments have marks to move")
        self.start = micros(self.segment.start if self.start is None else self.start, "the start of an Optimized")
        self.end = micros(self.segment.end if self.end is None else self.end, "the end of an Optimized")
        if self.end <= self.start:
            raise ValueError(
                f"segment {self.segment.id} would end at {self.end} µs and start at {self.start} µs: "
                "nothing would be left"
            )

    def wire(self):
        return {
            "segmentID": self.segment.id,
            "startMicros": self.start,
            "endMicros": self.end,
            "startCode": self.start_code,
            "endCode": self.end_code,
        }


@dataclass
class Label:
    """A segment's name, and attributes that are added to its own."""

    segment: Any
    label: str
    attributes: dict = field(default_factory=dict)
    code: str = "Succeeded"

    def __post_init__(self):
        if not isinstance(self.label, str):
            raise TypeError(f"the label of segment {self.segment.id} is {self.label!r}, not text")
        if not self.code or self.code == "Not Attempted":
            raise ValueError(f"the code of a Label says how it went; {self.code!r} says that it was not made")
        self.attributes = attributes_of(self.attributes, "a Label")

    def wire(self):
        return {
            "segmentID": self.segment.id,
            "code": self.code,
            "label": self.label,
            "attributes": self.attributes,
        }
