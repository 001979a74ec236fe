# SPDX-License-Identifier: Apache-2.0
"""Pictures of the chunk, decoded once by the agent for all plugins that ask for the same."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from urllib.parse import urlencode

from . import agent
from .times import Micros

try:
    import numpy
except ImportError:
    numpy = None


@dataclass(frozen=True)
class Frame:
    """One picture. end is where the next one starts."""

    start: Micros
    end: Micros
    width: int
    height: int
    # With numpy an array of (height, width) or (height, width, 3), otherwise a memoryview of its bytes, row by row.
    pixels: Any


def frames(inv, width, gray, rate, timeout):
    """The chunk's frames, one after the other: only one is held at a time."""
    if inv.media is None:
        return
    query = {"width": width, "format": "gray" if gray else "rgb24"}
    if rate is not None:
        rate = Fraction(rate)
        query["rate"] = f"{rate.numerator}/{rate.denominator}"
    with agent.call("GET", "frames?" + urlencode(query), timeout=timeout) as response:
        head = {
            name: int(response.headers["X-Mre-" + name])
            for name in ("Width", "Height", "Frames", "Rate-Num", "Rate-Den", "First-Micros")
        }
        wide, high, count = head["Width"], head["Height"], head["Frames"]
        step = Fraction(head["Rate-Den"] * 1_000_000, head["Rate-Num"])
        size = wide * high * (1 if gray else 3)
        for i in range(count):
            data = _read(response, size, i, count)
            start, end = (head["First-Micros"] + round(step * n) for n in (i, i + 1))
            until = min(Micros(end), max(inv.chunk.end, Micros(start)))
            yield Frame(Micros(start), until, wide, high, _pixels(data, wide, high, gray))


def _read(response, size, i, count):
    data = bytearray(size)
    view, have = memoryview(data), 0
    while have < size:
        n = response.readinto(view[have:])
        if not n:
            raise agent.AgentError(f"the frames ended in frame {i} of {count}")
        have += n
    return data


def _pixels(data, width, height, gray):
    if numpy is None:
        return memoryview(data)
    return numpy.frombuffer(data, dtype=numpy.uint8).reshape((height, width) if gray else (height, width, 3))
