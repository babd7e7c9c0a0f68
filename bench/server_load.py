#!/usr/bin/env python3
"""What many clients get from the server at once. Sends only to 127.0.0.1, to servers that it starts itself.

    python3 bench/server_load.py LOWRANK_BINARY FIXTURES [burst] [drawing] [listing] [--clients 200] [--seconds 20] [--loras 10000]

burst    250 connections at the same moment, each asks GET /healthz: how many are answered, refused with 503, reset
drawing  so many clients draw small pictures one after the other; meanwhile GET /healthz on new connections: its times
listing  GET /sdapi/v1/loras of a large collection: times, bytes, and the server's memory before and after
"""
import argparse
import asyncio
import gzip
import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/server/program"))
from served import Served, tiny_request  # noqa: E402


def resident_mb(server):
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024


async def ask(port, method, path, body=b"", timeout=300):
    """The status, or the name of what went wrong."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
            answer = await reader.read(-1)
            writer.close()
            return answer[9:12].decode() if answer else "empty"
    except (OSError, TimeoutError) as error:
        return type(error).__name__


def counts(results):
    return ", ".join(f"{results.count(kind)} × {kind}" for kind in sorted(set(results)))


def burst(a):
    server = Served(a.lowrank, a.fixtures, "--access-log", "none")

    async def all_at_once(count):
        return await asyncio.gather(*(ask(server.port, "GET", "/healthz", timeout=30) for _ in range(count)))
    try:
        for count in (250, 400):
            start = time.monotonic()
            results = asyncio.run(all_at_once(count))
            print(f"burst: {count} at once, --max-connections 256: {counts(results)}; {time.monotonic() - start:.2f} s")
            time.sleep(3)
    finally:
        server.close()


def drawing(a):
    server = Served(a.lowrank, a.fixtures, "--access-log", "none", "--max-queue", "1000")
    end = time.monotonic() + a.seconds
    drawn, times = [], []

    async def client(number):
        while time.monotonic() < end:
            drawn.append(await ask(server.port, "POST", "/sdapi/v1/txt2img", json.dumps(tiny_request(seed=number, steps=4)).encode()))

    async def probe():
        while time.monotonic() < end:
            start = time.monotonic()
            if await ask(server.port, "GET", "/healthz", timeout=30) == "200":
                times.append(time.monotonic() - start)
            else:
                times.append(float("inf"))
            await asyncio.sleep(0.02)

    async def both():
        await asyncio.gather(probe(), *(client(i) for i in range(a.clients)))
    try:
        server.post("/sdapi/v1/txt2img", tiny_request())
        asyncio.run(both())
        times.sort()
        at = lambda share: 1000 * times[min(len(times) - 1, int(share * len(times)))]
        print(f"drawing: {a.clients} clients, {a.seconds} s, load {os.getloadavg()[0]:.1f}: {counts(drawn)}")
        print(f"  GET /healthz {len(times)} times: middle {at(0.5):.1f} ms, p90 {at(0.9):.1f}, p99 {at(0.99):.1f}, most {1000 * times[-1]:.1f} ms")
    finally:
        server.close()


def listing(a):
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(a.data_dir or folder)
        if not a.data_dir:
            subprocess.run([sys.executable, ROOT / "tools/make_collection.py", data, str(a.loras)], check=True, stdout=subprocess.DEVNULL)
        server = Served(a.lowrank, a.fixtures, "--access-log", "none", data=data)

        def get(path, headers):
            start = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            seconds = time.monotonic() - start
            assert answer.status == 200, body[:300]
            packed = answer.getheader("Content-Encoding") == "gzip"
            return seconds, len(body), len(json.loads(gzip.decompress(body) if packed else body)), packed
        try:
            start = time.monotonic()
            get("/v1/loras?limit=1", {})  # waits until the folders have been looked at
            print(f"listing: {a.loras} LoRAs looked at after {time.monotonic() - start:.1f} s, {resident_mb(server):.0f} MB resident")
            time.sleep(a.pause)
            for name, headers in (("the first time", {}), ("again", {}), ("again", {}), ("gzip, the first time", {"Accept-Encoding": "gzip"}),
                                  ("gzip, again", {"Accept-Encoding": "gzip"})):
                seconds, size, entries, packed = get("/sdapi/v1/loras", headers)
                print(f"  GET /sdapi/v1/loras {name}: {seconds:.3f} s, {size / 1e6:.1f} MB{' packed' if packed else ''}, {entries} entries, {resident_mb(server):.0f} MB resident")
            lora = next((data / "models/Lora").rglob("*.safetensors"))
            os.utime(lora)
            time.sleep(0.5)
            print(f"  one file touched: {get('/sdapi/v1/loras', {})[0]:.3f} s, {resident_mb(server):.0f} MB resident")
            time.sleep(2)
            print(f"  two seconds later: {resident_mb(server):.0f} MB resident")
        finally:
            server.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lowrank")
    parser.add_argument("fixtures", type=pathlib.Path)
    parser.add_argument("parts", nargs="*", default=["burst", "drawing", "listing"])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--loras", type=int, default=10_000)
    parser.add_argument("--data-dir", help="a collection made before by tools/make_collection.py")
    parser.add_argument("--pause", type=float, default=0, help="seconds between the first look and the first list")
    a = parser.parse_args()
    for part in a.parts:
        {"burst": burst, "drawing": drawing, "listing": listing}[part](a)


if __name__ == "__main__":
    main()
