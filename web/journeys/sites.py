"""A stand-in for Civitai with one LoRA to import, slow enough to be watched. Prints its address; ends with its parent."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "cli"))
from model_sites import ModelSites, png, safetensors  # noqa: E402

sites = ModelSites()
sites.files["/files/preview.png"] = png(64)
sites.add_version(456, 123, "Red Fox", safetensors(1, pad=800))
sites.slow = 0.2
print(sites.url, flush=True)
parent = os.getppid()
while os.getppid() == parent:
    time.sleep(0.5)
