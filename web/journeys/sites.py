"""A stand-in for Civitai with one LoRA to import, and for Hugging Face with one checkpoint, slow enough to be watched. Prints its address; ends with its parent."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "cli"))
from model_sites import ModelSites, png, safetensors  # noqa: E402

class Sites(ModelSites):
    def send_file(self, handler, path):
        # A checkpoint is some hundred times as large as a LoRA.
        self.slow = 0.005 if path.startswith("/lfs/") else 0.2
        return super().send_file(handler, path)


sites = Sites()
sites.files["/files/preview.png"] = png(64)
sites.add_version(456, 123, "Red Fox", safetensors(1, pad=800))
starter = pathlib.Path(__file__).resolve().parents[2] / "models/starter/starter.safetensors"
sites.add_repo("somebody/model", {"imported.safetensors": (starter.read_bytes(), True)})
print(sites.url, flush=True)
parent = os.getppid()
while os.getppid() == parent:
    time.sleep(0.5)
