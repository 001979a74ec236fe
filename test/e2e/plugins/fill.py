# SPDX-License-Identifier: Apache-2.0
"""Fills its disk beyond its limit, and then does nothing: it ends when it is ended."""

import time

from mre_plugin import featurer, run

LIMIT = 32 << 20


@featurer
def detect(ctx):
    with open("/tmp/fill", "wb", buffering=0) as file:
        while file.tell() < 4 * LIMIT:
            file.write(bytes(1 << 20))
    while True:
        time.sleep(1)


run()
