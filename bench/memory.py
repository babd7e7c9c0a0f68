#!/usr/bin/env python3
"""Memory of the server over many requests, and how long a change of LoRAs takes.

    python3 bench/memory.py LOWRANK_BINARY FIXTURES [--requests 1000] [--switch-every 50] [--data-dir DIR --model NAME --lora NAME --lora NAME]

Small pictures of the tiny model, each with another set of LoRAs, and another checkpoint now and then; prints the resident
memory after each hundred requests. With --data-dir the model and LoRAs there, without changes of the checkpoint: for the
time that a change of LoRAs takes on a full-size model.
"""
import argparse
import json
import pathlib
import shutil
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/server/program"))
from served import Served  # noqa: E402


def memory(server, field):
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lowrank")
    parser.add_argument("fixtures", type=pathlib.Path)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--switch-every", type=int, default=50, help="requests with one checkpoint")
    parser.add_argument("--data-dir")
    parser.add_argument("--model")
    parser.add_argument("--lora", action="append", default=[])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--hold", type=int, default=1, help="requests with one set of LoRAs; what the first of them takes more than the others is the whole price of a change")
    a = parser.parse_args()
    server = Served(a.lowrank, a.fixtures, "--access-log", "none", data=a.data_dir)
    loras, models = a.lora, [a.model]
    if not a.data_dir:
        loras, models = ["attention", "loha"], ["sd15-tiny", "second"]
        shutil.copy(a.fixtures / "sd15-tiny/sd15-tiny.safetensors", server.data / "models/Stable-diffusion/second.safetensors")
    sets = [[], *[[lora] for lora in loras], loras]
    switches, pictures, model_switches, firsts, others = [], [], [], [], []
    start = time.time()
    try:
        for i in range(a.requests):
            tags = "".join(f"<lora:{name}:{0.3 + i // a.hold % 7 / 10:.1f}>" for name in sets[i // a.hold % len(sets)])
            model = models[i // a.switch_every % len(models)]
            begin = time.time()
            status, answer = server.post("/sdapi/v1/txt2img", {
                "prompt": "a fox " + tags, "steps": 2, "width": a.size, "height": a.size, "seed": i,
                "override_settings": {"sd_model_checkpoint": model} if model else {}}, timeout=600)
            if status != 200:
                raise SystemExit(f"request {i}: {status} {answer}")
            timings = json.loads(answer["info"])["lowrank"]["timings"]
            pictures.append(time.time() - begin)
            if i % a.switch_every == 0:
                model_switches.append(timings["load"])
            elif i % a.hold == 0:
                switches.append(timings["loras"])
                firsts.append(pictures[-1])
            else:
                others.append(pictures[-1])
            if (i + 1) % 100 == 0 or i == 0:
                print(f"{i + 1:5} requests  {time.time() - start:6.0f} s  {memory(server, 'VmRSS'):7.1f} MB resident  {memory(server, 'VmHWM'):7.1f} MB at most",
                      flush=True)
        print(f"change of LoRAs: median {1000 * statistics.median(switches):.1f} ms, longest {1000 * max(switches):.1f} ms ({len(switches)} changes)")
        print(f"change of checkpoint: median {1000 * statistics.median(model_switches):.0f} ms ({len(model_switches)} changes)")
        if others:
            print(f"a request: median {1000 * statistics.median(firsts):.0f} ms with a change of LoRAs, {1000 * statistics.median(others):.0f} ms without")
        print(f"a request: median {1000 * statistics.median(pictures):.0f} ms")
    finally:
        server.close()


if __name__ == "__main__":
    main()
