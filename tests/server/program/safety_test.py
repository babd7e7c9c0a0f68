#!/usr/bin/env python3
"""What docs/security.md promises, against the real program.  safety_test.py LOWRANK FIXTURES"""
import base64
import json
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import unittest
import zlib

from served import Served, tiny_request

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]


def basic(text):
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def png_header(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                            chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")).decode()


class Safety(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Served(LOWRANK, FIXTURES, "--access-log", "none", "--max-body-mb", "2", "--max-connections", "24")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def raw(self, data, seconds=10):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=seconds) as s:
            s.sendall(data)
            answer = b""
            try:
                while chunk := s.recv(65536):
                    answer += chunk
                    if b"\r\n\r\n" in answer:
                        break
            except ConnectionResetError:
                pass
            return answer

    def alive(self):
        self.assertEqual(self.server.get("/healthz", timeout=10)[0], 200)

    def test_this_machine_needs_none_by_whatever_name(self):
        for address in ("::1", "[::1]", "127.0.0.2", "localhost"):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                with socket.socket(family, socket.SOCK_STREAM) as probe:
                    probe.bind((address.strip("[]"), 0))
            except OSError:
                continue  # this machine has no such address
            serving = subprocess.Popen([LOWRANK, "serve", "--port", "0", "--data-dir", str(self.server.data), "--server-name", address,
                                        "--state-dir", str(self.server.data / "other")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                       env=self.server.environment)
            try:
                line = serving.stdout.readline()
                host = "[::1]" if family == socket.AF_INET6 else address
                self.assertRegex(line, "http://" + re.escape(host) + r":\d+ ", address)
                port = int(re.search(r":(\d+) ", line).group(1))
                for name, status in ((host, b"200"), ("evil.example", b"403"), ("127.evil.example", b"403")):
                    with socket.create_connection((address.strip("[]"), port), timeout=30) as s:
                        s.sendall(f"GET /sdapi/v1/cmd-flags HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode())
                        answer = b"".join(iter(lambda: s.recv(65536), b""))
                    self.assertEqual(answer[9:12], status, (address, name))
                    if status == b"200":
                        self.assertIn(b'"listen":false', answer)
            finally:
                serving.terminate()
                warnings = serving.communicate(timeout=60)[1]
            self.assertNotIn("can use this server", warnings)

    def test_the_network_needs_a_password(self):
        for words in (["--listen"], ["--server-name", "0.0.0.0"]):
            refused = subprocess.run([LOWRANK, "serve", "--port", "0", "--data-dir", str(self.server.data), *words],
                                     capture_output=True, text=True, timeout=60)
            self.assertEqual(refused.returncode, 2)
            self.assertIn("--api-auth", refused.stderr)

    def test_passwords(self):
        secret = self.server.data / "secret.txt"
        secret.write_text("ann:right,bob:also\n")
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", "--api-auth-file", str(secret))
        self.addCleanup(server.close)
        status, headers, data = server.call("GET", "/sdapi/v1/options")
        self.assertEqual((status, headers["www-authenticate"], json.loads(data)["detail"]), (401, "Basic", "Not authenticated"))
        for wrong in ("ann:wrong", "ann:also", "ann:", "ann:rightx", "ANN:right", "", ":", "ann"):
            status, _, data = server.call("GET", "/sdapi/v1/options", headers=basic(wrong))
            self.assertEqual((status, json.loads(data)["detail"]), (401, "Incorrect username or password"), wrong)
        for right in ("ann:right", "bob:also"):
            for path in ("/sdapi/v1/loras", "/internal/pending-tasks", "/v1/jobs", "/metrics"):
                self.assertEqual(server.call("GET", path, headers=basic(right))[0], 200)
        for path in ("/sdapi/v1/loras", "/internal/sysinfo", "/v1/jobs", "/v1/models", "/metrics", "/v1/outputs/x.png", "/nothing/here"):
            self.assertEqual(server.call("GET", path)[0], 401 if path != "/nothing/here" else 404, path)
        # Nobody without a password makes the server read a body.
        self.assertEqual(server.call("POST", "/sdapi/v1/txt2img", b"x" * 100000)[0], 401)
        self.assertEqual(server.call("GET", "/healthz")[0], 200)

    def test_other_names_and_other_sites(self):
        self.assertEqual(self.server.call("GET", "/sdapi/v1/options", headers={"Host": "evil.example:7860"})[0], 403)
        self.assertEqual(self.server.call("GET", "/sdapi/v1/options", headers={"Host": "localhost:7860"})[0], 200)
        self.assertEqual(self.server.call("POST", "/sdapi/v1/interrupt", headers={"Origin": "https://evil.example"})[0], 403)
        self.assertEqual(self.server.call("POST", "/sdapi/v1/interrupt", headers={"Origin": "null"})[0], 403)
        own = f"http://127.0.0.1:{self.server.port}"
        self.assertEqual(self.server.call("POST", "/sdapi/v1/interrupt", headers={"Origin": own})[0], 200)
        status, headers, _ = self.server.call("GET", "/healthz", headers={"Origin": "https://evil.example"})
        self.assertNotIn("access-control-allow-origin", headers)
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", "--cors-allow-origins", "https://good.example")
        self.addCleanup(server.close)
        status, headers, _ = server.call("OPTIONS", "/sdapi/v1/txt2img", headers={
            "Origin": "https://good.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"})
        self.assertEqual((status, headers["access-control-allow-origin"], headers["access-control-allow-headers"]),
                         (200, "https://good.example", "content-type"))
        self.assertEqual(server.call("POST", "/sdapi/v1/interrupt", headers={"Origin": "https://good.example"})[0], 200)
        self.assertEqual(server.call("POST", "/sdapi/v1/interrupt", headers={"Origin": "https://good.example.evil"})[0], 403)

    def test_large_and_deep_and_broken_requests(self):
        self.assertEqual(self.server.call("POST", "/sdapi/v1/txt2img", b'{"prompt": "' + b"x" * (3 << 20) + b'"}')[0], 413)
        for body in (b"[" * 200000, b'{"a":' * 200000, b'{"alwayson_scripts":' + b"[" * 65 + b"]" * 65 + b"}"):
            status, answer = self.server.post("/sdapi/v1/txt2img", body)
            self.assertEqual((status, answer["detail"][0]["type"]), (422, "value_error.jsondecode"))
        for body in (b"", b"null", b"[]", b"1", b'"x"', b"\xff\xfe", b'{"prompt": "\xff"}', b'{"seed": 1e999}', b'{"seed": NaN}',
                     b'{"seed": 99999999999999999999}', b'{"prompt": "\\ud800"}', b'{"prompt": "a\\u0000b", "steps": 1}'):
            status, answer = self.server.post("/sdapi/v1/txt2img", body)
            self.assertEqual(status, 422, (body, answer))
        self.assertEqual(self.server.call("POST", "/sdapi/v1/txt2img", b"{}", headers={"Content-Encoding": "gzip"})[0], 415)
        for data, status in ((b"nonsense\r\n\r\n", b"400"), (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", b"414"),
                             (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n", b"431")):
            self.assertEqual(self.raw(data).split(b" ")[1], status)
        self.alive()

    def test_what_follows_a_broken_request_is_no_request(self):
        for line in (b"QUERY /healthz HTTP/1.1", b"GET /healthz HTTP/9.9", b"nonsense"):
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as s:
                s.sendall(line + b"\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                s.shutdown(socket.SHUT_WR)
                answer = b""
                while chunk := s.recv(65536):
                    answer += chunk
            self.assertEqual((answer.count(b"HTTP/1.1 400"), answer.count(b"HTTP/1.1")), (1, 1), (line, answer))
            self.assertIn(b"Connection: close", answer)

    def test_a_request_is_one_line_of_the_log(self):
        log = self.server.data / "access.log"
        server = Served(LOWRANK, FIXTURES, "--access-log", str(log))
        self.addCleanup(server.close)
        forged = b"/x\x1b[2J\r2026-01-01 00:00:00 10.0.0.1 GET /forged 200\x9b\xc2\x9b\xff\x00"
        for line in (b"GET " + forged + b" HTTP/1.1", b"GET /" + b"a" * 5000 + b" HTTP/1.1", b"G\x1bT /healthz HTTP/1.1", forged):
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
                s.sendall(line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                while s.recv(65536):
                    pass
        # Escaped in the target, it is no control character of ours; the log has it as it was sent.
        self.assertEqual(server.call("GET", "/healthz?%0a2026-01-01%20forged")[0], 200)
        server.stop()
        lines = log.read_bytes().split(b"\n")
        self.assertEqual(lines.pop(), b"")
        self.assertGreaterEqual(len(lines), 3)
        for line in lines:
            self.assertRegex(line, rb"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d (127\.0\.0\.1|-) \S+ \S+ \d\d\d \d+ bytes [\d.]+ s$")
            self.assertRegex(line, rb"^[ -~]{1,600}$")

    def test_picture_bombs(self):
        for image in (png_header(60000, 60000), png_header(2 ** 31 - 1, 2 ** 31 - 1), png_header(16000, 16000), "AAAA", "%%%%", "data:image/png;base64,"):
            status, answer = self.server.post("/sdapi/v1/img2img", tiny_request(init_images=[image]))
            self.assertEqual(status, 422, answer)
            self.assertIn("Invalid encoded image", answer["detail"])
        for url in ("http://127.0.0.1:1/x.png", "https://example.org/x.png", "file:///etc/passwd"):
            status, answer = self.server.post("/sdapi/v1/img2img", tiny_request(init_images=[url]))
            self.assertEqual(status, 422)

    def test_names_are_never_paths(self):
        model = str(self.server.data / "models/Stable-diffusion/sd15-tiny.safetensors")
        for name in (model, "../Stable-diffusion/sd15-tiny.safetensors", "/etc/passwd"):
            self.assertEqual(self.server.post("/sdapi/v1/options", {"sd_model_checkpoint": name})[0], 422)
            self.assertEqual(self.server.post("/sdapi/v1/options", {"sd_vae": name})[0], 422)
            status, _ = self.server.post("/sdapi/v1/txt2img", tiny_request(override_settings={"sd_vae": name}))
            self.assertEqual(status, 422)
            status, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(lora=[{"path": name}], allow_missing_loras=False))
            self.assertEqual(status, 422, answer)

    def test_limits_of_a_request(self):
        for change in ({"n_iter": 256, "batch_size": 2}, {"width": 4096, "height": 4096}, {"steps": 100000},
                       {"width": 2048, "height": 2048, "batch_size": 64}):
            status, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(**change))
            self.assertEqual((status, answer["detail"][0]["loc"][0]), (422, "body"), change)

    def test_slow_clients_harm_no_one(self):
        slow = []
        for _ in range(20):
            s = socket.create_connection(("127.0.0.1", self.server.port))
            s.sendall(b"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
            slow.append(s)
        start = time.time()
        status, _ = self.server.post("/sdapi/v1/txt2img", tiny_request(steps=1))
        self.assertEqual(status, 200)
        self.assertLess(time.time() - start, 20)
        crowd = [socket.create_connection(("127.0.0.1", self.server.port)) for _ in range(8)]
        self.assertIn(b"503", self.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        for s in slow + crowd:
            s.close()
        for _ in range(50):
            if b"200 OK" in self.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"):
                return
            time.sleep(0.1)
        self.fail("the server did not recover")

    def test_tls(self):
        folder = self.server.data
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                        folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", "--tls-certfile", str(folder / "cert.pem"), "--tls-keyfile", str(folder / "key.pem"))
        self.addCleanup(server.close)
        context = ssl.create_default_context(cafile=folder / "cert.pem")
        import urllib.request
        with urllib.request.urlopen(f"https://localhost:{server.port}/sdapi/v1/samplers", context=context, timeout=20) as answer:
            self.assertGreater(len(json.load(answer)), 10)
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            self.assertNotIn(b"200 OK", plain.recv(1000))

    def test_stopping_over_the_api_needs_the_option(self):
        for name in ("server-kill", "server-stop", "server-restart"):
            self.assertEqual(self.server.call("POST", "/sdapi/v1/" + name)[0], 404)
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", "--api-server-stop")
        self.addCleanup(server.close)
        self.assertEqual(server.call("POST", "/sdapi/v1/server-stop")[2], b"Stopping.")
        self.assertEqual(server.process.wait(30), 0)

    def test_no_secrets_in_what_is_told(self):
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", "--api-auth", "ann:topsecret")
        self.addCleanup(server.close)
        for path in ("/sdapi/v1/cmd-flags", "/internal/sysinfo", "/sdapi/v1/options", "/metrics", "/openapi.json"):
            self.assertNotIn(b"topsecret", server.call("GET", path, headers=basic("ann:topsecret"))[2])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
