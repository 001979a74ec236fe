# SPDX-License-Identifier: Apache-2.0
"""Dies in the middle of each task, as a library that is out of memory does."""

import os
import sys

from mre_plugin import featurer, run


@featurer
def detect(ctx):
    print("the decoder ran out of luck", file=sys.stderr, flush=True)
    os._exit(7)


run()
