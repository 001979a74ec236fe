# SPDX-License-Identifier: Apache-2.0
"""Finds black pictures and sudden changes of brightness: breaks, fades, flashes of cameras.

Copy the folder, rename it, and put your own detector in the place of detect(). It answers the same for the same
chunk: a run may be repeated, and chunks may run side by side, so nothing is kept from one to the next.
"""

from mre_plugin import Result, featurer, run

# The mean of a small picture says as much as that of a large one.
WIDTH = 96


def brightness(pixels):
    """The mean brightness in percent, with numpy or without."""
    mean = float(pixels.mean()) if hasattr(pixels, "mean") else sum(pixels) / len(pixels)
    return mean * 100 / 255


@featurer
def detect(ctx):
    black_below = float(ctx.configuration.get("blackBelow", 8))
    jump_above = float(ctx.configuration.get("jumpAbove", 20))
    black_since, before, end = None, None, None
    for frame in ctx.frames(width=WIDTH, gray=True):
        now = brightness(frame.pixels)
        if before is not None and abs(now - before) >= jump_above:
            yield Result(start=frame.start, attributes={"BrightnessJump": True, "change": round(now - before, 2)})
        if now < black_below and black_since is None:
            black_since = frame.start
        elif now >= black_below and black_since is not None:
            yield black(black_since, frame.start)
            black_since = None
        before, end = now, frame.end
    if black_since is not None:
        yield black(black_since, end)


def black(start, end):
    return Result(start=start, end=end, attributes={"Black": True})


if __name__ == "__main__":
    run()
