# SPDX-License-Identifier: Apache-2.0
"""Says how bright each frame is: a healthy plugin that looks at pictures, counts chunks in a context variable and
stays warm."""

import os

from mre_plugin import Result, featurer, run

runs = 0


@featurer
def detect(ctx):
    global runs
    runs += 1
    # Not part of the results: which process and which run it was depends on what else happens.
    ctx.log.info("process %d, run %d, chunk %d", os.getpid(), runs, ctx.chunk.number)
    ctx.variables["LastBright"] = ctx.chunk.number
    for frame in ctx.frames(width=64):
        pixels = bytes(frame.pixels.tobytes() if hasattr(frame.pixels, "tobytes") else frame.pixels)
        yield Result(start=frame.start, attributes={"Brightness": sum(pixels) // max(1, len(pixels))})


run()
