# SPDX-License-Identifier: Apache-2.0
"""Plugins as processes of their own, against a server."""

import json
import signal
import tempfile
import unittest

from .support import Agent, invocation, start

WAIT = 60

PLUGIN = """
    from mre_plugin import Result, featurer, run, seconds

    @featurer
    def detect(ctx):
        print("this is no answer")
        if ctx.configuration.get("fail"):
            raise LookupError("there is no ball")
        yield Result(start=ctx.chunk.start + seconds(1.5), attributes={"Chunk": ctx.chunk.number})

    run()
"""
WANT = {
    "Mre": {
        "contract": "v1",
        "results": [{"startMicros": 7_500_000, "endMicros": 7_500_000, "attributes": {"Chunk": 2}}],
    }
}


class Runtime(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start(self, code, environment, module=False):
        process = start(self.folder, code, environment, module)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def test_tasks_one_after_the_other_in_one_process(self):
        with Agent() as agent:
            agent.work.put(("1-1", invocation()))
            agent.work.put(("2-1", invocation(configuration={"fail": True})))
            agent.work.put(("3-1", invocation()))
            process = self.start(PLUGIN, agent.environment)
            path, body, _ = agent.said.get(timeout=WAIT)
            self.assertEqual((path, body), ("/2018-06-01/runtime/invocation/1-1/response", WANT))
            path, body, kind = agent.said.get(timeout=WAIT)
            self.assertEqual(path, "/2018-06-01/runtime/invocation/2-1/error")
            self.assertEqual((kind, body["errorType"]), ("LookupError", "LookupError"))
            self.assertEqual(body["errorMessage"], "there is no ball")
            self.assertIn("in detect", "".join(body["stackTrace"]))
            self.assertEqual(agent.said.get(timeout=WAIT)[0], "/2018-06-01/runtime/invocation/3-1/response")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(WAIT), 0)

    def test_exec(self):
        process = self.start(PLUGIN, {})
        out, err = process.communicate(json.dumps(invocation()).encode(), WAIT)
        self.assertEqual((process.returncode, json.loads(out)), (0, WANT), err)
        self.assertIn(b"this is no answer", err)

    def test_exec_failure(self):
        process = self.start(PLUGIN, {})
        out, err = process.communicate(json.dumps(invocation(configuration={"fail": True})).encode(), WAIT)
        self.assertEqual((process.returncode, out), (1, b""))
        self.assertIn(b"LookupError: there is no ball", err)

    def test_init_errors(self):
        cases = {
            "import": ("import no_such_library", True, "ModuleNotFoundError", "no_such_library"),
            "init": (
                "from mre_plugin import featurer, run\n@featurer\ndef f(ctx): pass\n"
                "def init(): raise OSError('no weights')\n"
                "if __name__ == '__main__': run(init)",
                False,
                "OSError",
                "no weights",
            ),
            "init of a module": (
                "from mre_plugin import featurer\n@featurer\ndef f(ctx): pass\ndef init(): raise OSError('no weights')",
                True,
                "OSError",
                "no weights",
            ),
            "nothing decorated": ("from mre_plugin import run\nrun()", False, "RuntimeError", "@featurer"),
        }
        for name, (code, module, kind, message) in cases.items():
            with self.subTest(name), Agent() as agent:
                process = self.start(code, agent.environment, module)
                path, body, header = agent.said.get(timeout=WAIT)
                self.assertEqual(path, "/2018-06-01/runtime/init/error")
                self.assertEqual((body["errorType"], header), (kind, kind))
                self.assertIn(message, body["errorMessage"])
                self.assertEqual(process.wait(WAIT), 1)

    def test_agent_that_comes_late(self):
        with Agent() as agent:
            address = agent.address
        process = self.start(PLUGIN, {"AWS_LAMBDA_RUNTIME_API": address})
        line = process.stderr.readline()
        self.assertIn(b"is away", line)
        self.assertIsNone(process.poll())


if __name__ == "__main__":
    unittest.main()
