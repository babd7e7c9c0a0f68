#!/usr/bin/env python3
"""Memory stays where it is over many requests of changing kinds.  memory_test.py LOWRANK FIXTURES"""
import base64
import pathlib
import shutil
import sys
import unittest

from served import Served, tiny_request

LOWRANK, FIXTURES = sys.argv[1], pathlib.Path(sys.argv[2])
ROUNDS, GROWTH_MB = 8, 60  # a leaked tiny model would be 33 MB a change, with eight changes in the second half


class Memory(unittest.TestCase):
    def resident_mb(self):
        for line in pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024

    def test_changing_requests_leave_nothing_behind(self):
        self.server = Served(LOWRANK, FIXTURES, "--access-log", "none")
        self.addCleanup(self.server.close)
        shutil.copy(FIXTURES / "sd15-tiny/sd15-tiny.safetensors", self.server.data / "models/Stable-diffusion/second.safetensors")
        init = base64.b64encode((FIXTURES / "image/masking/source.png").read_bytes()).decode()
        requests = (("txt2img", {"prompt": "a fox <lora:attention:0.8>"}),
                    ("txt2img", {"prompt": "a fox <lora:loha:0.5><lora:attention:0.3>", "override_settings": {"sd_model_checkpoint": "second"}}),
                    ("txt2img", {"prompt": "a cat", "enable_hr": True, "hr_scale": 1.5, "override_settings": {"sd_model_checkpoint": "sd15-tiny"}}),
                    ("img2img", {"init_images": [init], "denoising_strength": 0.5}),
                    ("txt2img", {"prompt": "a fox|red", "script_name": "Prompt matrix"}),
                    ("txt2img", {"steps": "many"}))
        after = []
        for _ in range(ROUNDS):
            for route, more in requests:
                status, answer = self.server.post("/sdapi/v1/" + route, tiny_request(**{"steps": 1, **more}))
                self.assertEqual(status, 422 if more.get("steps") else 200, answer)
            after.append(self.resident_mb())
        middle = ROUNDS // 2
        self.assertLess(after[-1] - after[middle - 1], GROWTH_MB, after)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
