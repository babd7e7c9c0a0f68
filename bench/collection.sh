#!/usr/bin/env bash
# What a large collection costs: 10,000 sparse LoRA files with real headers, in 97 folders.
#
#   bench/collection.sh [COUNT]
#
# Times are wall seconds of the whole command, its start included; the least and the middle of several runs, as other work
# on the machine only ever adds. CPU time stands beside them for the same reason.
set -euo pipefail
cd "$(dirname "$0")/.."
count=${1:-10000}
lowrank=$(realpath "${LOWRANK:-build/release/bin/lowrank}")
work=${WORK:-build/bench/collection}
mkdir -p "$work"
work=$(realpath "$work")
[ -f "$work/made.$count" ] || { rm -rf "$work"/*; python3 tools/make_collection.py "$work" "$count"; touch "$work/made.$count"; }
export LOWRANK_INDEX=$work/index.sqlite XDG_DATA_HOME=$work/home
rm -f "$LOWRANK_INDEX"*

echo "== the collection: $count LoRAs, load $(cut -d' ' -f1-3 /proc/loadavg)"
python3 - "$lowrank" "$work" <<'PY'
import os, subprocess, sys, time
lowrank, work = sys.argv[1:]

def once(*words):
    started = time.monotonic()
    process = subprocess.Popen([lowrank, *words, "--data-dir", work], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, words
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

def several(label, *words, runs=15):
    results = sorted(once(*words) for _ in range(runs))
    wall = [r[0] for r in results]
    print(f"{label:<36} least {1000 * wall[0]:6.1f} ms   middle {1000 * wall[runs // 2]:6.1f} ms   CPU {1000 * min(r[1] for r in results):5.1f} ms   {max(r[2] for r in results):5.1f} MB")

wall, cpu, memory = once("lora", "scan", "--quiet")
print(f"{'first scan, no hashing':<36} {wall:.2f} s wall, {cpu:.2f} s CPU, {memory:.1f} MB")
several("lora find, nothing found", "lora", "find", "zzzz")
several("later start, nothing changed", "lora", "scan", "--quiet")
several("lora show, by name", "lora", "show", "fox_style_00000")
several("lora find, one word", "lora", "find", "castle", "--limit", "20")
several("lora find, two words and filters", "lora", "find", "castle", "style", "--base", "SD1", "--limit", "20")
several("lora list, all of them", "lora", "list")
path = next(p for p in sorted(os.listdir(f"{work}/models/Lora/set 00")) if p.endswith(".safetensors"))
os.utime(f"{work}/models/Lora/set 00/{path}")
several("later start, one file changed", "lora", "scan", "--quiet", runs=1)

# The same index behind HTTP: what a page asks for, on one connection.
import http.client, re
server = subprocess.Popen([lowrank, "serve", "--port", "0", "--access-log", "none", "--data-dir", work], stdout=subprocess.PIPE, text=True)
try:
    port = int(re.search(r":(\d+)", server.stdout.readline().split("//")[1]).group(1))
    def ask(label, path, runs=15):
        times = []
        for _ in range(runs):
            started = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            times.append(time.monotonic() - started)
        print(f"{label:<36} least {1000 * min(times):6.1f} ms   middle {1000 * sorted(times)[runs // 2]:6.1f} ms   {len(body) / 1e6:.2f} MB")
    ask("GET /v1/loras, first page of 60", "/v1/loras?limit=60")
    ask("the same, a word and filters", "/v1/loras?limit=60&q=castle&base_model=SD+1.x&sort=date")
    ask("the same, a tag", "/v1/loras?limit=60&tag=castle")
    ask("all cards", "/v1/loras", runs=3)
    ask("GET /v1/loras/facets, first time", "/v1/loras/facets", runs=1)
    ask("GET /v1/loras/facets", "/v1/loras/facets")
finally:
    server.terminate()
    server.wait()
PY
du -h "$LOWRANK_INDEX" | sed 's/\t.*/  the index/'
