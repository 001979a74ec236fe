# SPDX-License-Identifier: Apache-2.0
"""Never answers, and does not listen to anybody either."""

import signal
import time

from mre_plugin import featurer, run


@featurer
def detect(ctx):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)


run()
