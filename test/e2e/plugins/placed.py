# SPDX-License-Identifier: Apache-2.0
"""Says what its pod gave it: a Secret, shared memory, weights."""

import hashlib
import os
import pathlib

from mre_plugin import Result, featurer, run


def may_write(path):
    try:
        path.write_bytes(b"")
    except OSError:
        return False
    return True


@featurer
def detect(ctx):
    shm = os.statvfs("/dev/shm")
    weights = pathlib.Path("/weights/base/model.bin")
    yield Result(start=ctx.chunk.start, attributes={
        # The secret itself does not belong into results.
        "SecretDigest": hashlib.sha256(os.environ["PLACED_KEY"].encode()).hexdigest(),
        "SharedMemory": shm.f_blocks * shm.f_frsize,
        "Weights": weights.read_text(),
        "WeightsWritable": may_write(weights),
    })


run()
