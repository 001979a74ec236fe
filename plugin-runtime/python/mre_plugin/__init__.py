# SPDX-License-Identifier: Apache-2.0
"""Write plugins for the MRE Operator.

A plugin is a function with the class it stands for, and a call of run():

    from mre_plugin import Result, featurer, run

    @featurer
    def detect(ctx):
        for frame in ctx.frames(width=160):
            if dark(frame.pixels):
                yield Result(start=frame.start, attributes={"Dark": True})

    run()

Times are whole microseconds on the Event's timeline, never floats: seconds(1.5) makes them.
Only the standard library is needed; where numpy is installed, frames and tensors are arrays.
"""

from .answers import Label, Optimized, Result
from .context import (
    Context,
    FeaturerContext,
    LabelerContext,
    OptimizerContext,
    SegmenterContext,
)
from .frames import Frame
from .invocation import (
    AudioTrack,
    Chunk,
    Detection,
    Event,
    Invocation,
    Media,
    Segment,
    Task,
    Timeline,
)
from .model import Model, ModelError, Tensor
from .registry import featurer, labeler, optimizer, segmenter
from .runtime import run
from .times import Micros, seconds

__all__ = [
    "AudioTrack",
    "Chunk",
    "Context",
    "Detection",
    "Event",
    "FeaturerContext",
    "Frame",
    "Invocation",
    "Label",
    "LabelerContext",
    "Media",
    "Micros",
    "Model",
    "ModelError",
    "Optimized",
    "OptimizerContext",
    "Result",
    "Segment",
    "SegmenterContext",
    "Task",
    "Tensor",
    "Timeline",
    "featurer",
    "labeler",
    "optimizer",
    "run",
    "seconds",
    "segmenter",
]
