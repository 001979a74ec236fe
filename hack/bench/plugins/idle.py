# SPDX-License-Identifier: Apache-2.0
"""Does nothing, as fast as it can: what is left is the cost of asking it."""

from mre_plugin import Result, featurer, run


@featurer
def detect(ctx):
    yield Result(start=ctx.chunk.start, attributes={"Idle": True})


run()
