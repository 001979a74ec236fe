# SPDX-License-Identifier: Apache-2.0
"""Takes its time, and answers."""

import time

from mre_plugin import Result, featurer, run


@featurer
def detect(ctx):
    time.sleep(2)
    yield Result(start=ctx.chunk.start, attributes={"Slow": True})


run()
