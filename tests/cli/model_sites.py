"""A local server that answers as Civitai's REST API v1 and as the Hugging Face hub do, with every fault that downloads
meet. The shapes are those of the sites' own answers (fields, types, nulls, headers), with made-up content.

Each file has a path under /files/ and a list of faults that are used up one by one; when the list is empty the file is
served properly. What was asked is kept in `requests` (method, path, headers).
"""
import hashlib
import http.server
import json
import socket
import struct
import threading
import time
import urllib.parse
import zlib


def safetensors(seed=1, metadata=None, cross=768, pad=0):
    """A LoRA of one module, written from the format's description."""
    module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    sizes = {"lora_down.weight": [4, cross], "lora_up.weight": [320, 4 + pad]}
    header, offset = {"__metadata__": metadata or {}}, 0
    if pad:
        sizes = {"lora_down.weight": [4 + pad, cross], "lora_up.weight": [320, 4 + pad]}
    for name, shape in sizes.items():
        length = 2 * shape[0] * shape[1]
        header[f"{module}.{name}"] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, offset + length]}
        offset += length
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes([seed]) * offset


def png(size=8):
    """A grey PNG, written from the specification."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"\x80" * size for _ in range(size))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))


class ModelSites:
    def __init__(self):
        self.requests = []
        self.files = {}      # path → bytes
        self.faults = {}     # path → list of fault names
        self.etags = {}      # path → entity tag; none: no tag
        self.versions = {}   # id → answer
        self.models = {}     # id → answer
        self.repos = {}      # (repo, revision) → answer
        self.repo_files = {} # (repo, path) → (bytes, is_lfs)
        self.api_faults = []  # statuses or names used up before the API answers
        self.needs_token = None
        self.slow = 0        # seconds per 64 kB of a file
        self.lock = threading.Lock()
        sites = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words):
                pass

            def do_GET(self):
                with sites.lock:
                    sites.requests.append((self.path, dict(self.headers)))
                try:
                    sites.answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

        self.server = Server(("127.0.0.1", 0), Handler)
        self.other = Server(("127.0.0.1", 0), Handler)  # another origin, where redirects lead
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.other_url = f"http://127.0.0.1:{self.other.server_address[1]}"
        for server in (self.server, self.other):
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def close(self):
        for server in (self.server, self.other):
            server.shutdown()
            server.server_close()

    # ── content ──

    def add_version(self, number, model, name, data, words=("foxy",), base="SD 1.5", kind="LORA", tags=("character", "fox"), sha256=None,
                    file_name=None, older=()):
        """A model of one file, as GET /api/v1/models/:id and /api/v1/model-versions/:id answer."""
        path = f"/files/{number}"
        self.files[path] = data
        self.etags.setdefault(path, f'"{hashlib.md5(data).hexdigest()}"')
        digest = sha256 or hashlib.sha256(data).hexdigest()
        file = {"id": number * 10, "sizeKB": len(data) / 1024, "name": file_name or f"{name}.safetensors", "type": "Model",
                "pickleScanResult": "Success", "pickleScanMessage": "No Pickle imports", "virusScanResult": "Success", "virusScanMessage": None,
                "scannedAt": "2024-05-01T10:11:12.000Z", "metadata": {"format": "SafeTensor", "size": None, "fp": None},
                "hashes": {"AutoV1": "12345678", "AutoV2": digest[:10].upper(), "SHA256": digest.upper(), "CRC32": "ABCDEF01",
                           "BLAKE3": "00" * 32, "AutoV3": digest[:12].upper()},
                "downloadUrl": f"{self.url}/api/download/models/{number}", "primary": True}
        version = {"id": number, "modelId": model, "name": "v1.0", "createdAt": "2024-05-01T09:00:00.000Z", "updatedAt": "2024-05-02T09:00:00.000Z",
                   "status": "Published", "publishedAt": "2024-05-01T12:00:00.000Z", "trainedWords": list(words), "trainingStatus": None,
                   "trainingDetails": None, "baseModel": base, "baseModelType": "Standard", "earlyAccessEndsAt": None, "description": None,
                   "uploadType": "Created", "air": f"urn:air:sd1:lora:civitai:{model}@{number}",
                   "stats": {"downloadCount": 12, "ratingCount": 0, "rating": 0, "thumbsUpCount": 3},
                   "model": {"name": name, "type": kind, "nsfw": False, "poi": False}, "files": [file],
                   "images": [{"url": f"{self.url}/files/preview.png", "nsfwLevel": 1, "width": 64, "height": 64, "hash": "U9A", "type": "image",
                               "metadata": {"hash": "U9A", "size": 1}, "meta": None, "hasMeta": False}],
                   "downloadUrl": f"{self.url}/api/download/models/{number}"}
        self.versions[number] = version
        inner = {key: value for key, value in version.items() if key not in ("model", "modelId")}
        self.models[model] = {"id": model, "name": name, "description": f"<p>All about <b>{name}</b> &amp; more</p>", "allowNoCredit": True,
                              "allowCommercialUse": ["Image"], "allowDerivatives": True, "type": kind, "minor": False, "poi": False, "nsfw": False,
                              "nsfwLevel": 1, "availability": "Public", "cosmetic": None, "stats": {"downloadCount": 12},
                              "creator": {"username": "ann", "image": None}, "tags": list(tags), "modelVersions": [inner, *older]}
        return version

    def add_repo(self, repo, files, card=None, commit="c0ffee" + "0" * 34, revision="main"):
        """files: path → (bytes, is_lfs)."""
        siblings = []
        for path, (data, is_lfs) in files.items():
            item = {"rfilename": path, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
            if is_lfs:
                item["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(item)
            self.repo_files[(repo, path)] = (data, is_lfs)
            self.files[f"/lfs/{repo}/{path}"] = data
            self.etags[f"/lfs/{repo}/{path}"] = f'"{hashlib.sha256(data).hexdigest()}"'
        answer = {"_id": "65", "id": repo, "modelId": repo, "private": False, "pipeline_tag": "text-to-image", "library_name": "diffusers",
                  "tags": ["diffusers", "lora"], "downloads": 1, "likes": 0, "author": repo.split("/")[0], "sha": commit,
                  "lastModified": "2024-05-01T00:00:00.000Z", "gated": False, "disabled": False, "siblings": siblings}
        if card is not None:
            answer["cardData"] = card
        self.repos[(repo, revision)] = answer
        self.repos[(repo, commit)] = answer

    # ── answers ──

    def send(self, handler, status, body=b"", kind="application/json", **headers):
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    def send_json(self, handler, value, status=200):
        self.send(handler, status, json.dumps(value).encode())

    def answer(self, handler):
        parts = urllib.parse.urlsplit(handler.path)
        path = urllib.parse.unquote(parts.path)
        if path.startswith(("/files/", "/lfs/")):
            return self.send_file(handler, path)
        if self.needs_token and handler.headers.get("Authorization") != f"Bearer {self.needs_token}":
            return self.send_json(handler, {"error": "Unauthorized"}, 401)
        if path.startswith("/api/"):
            with self.lock:
                fault = self.api_faults.pop(0) if self.api_faults and "/download/" not in path else None
            if fault == "html":
                return self.send(handler, 200, b"<!DOCTYPE html><html></html>", "text/html")
            if fault == "cut":
                handler.send_response(200)
                handler.send_header("Content-Length", "1000")
                handler.end_headers()
                handler.wfile.write(b'{"id":')
                handler.close_connection = True
                return None
            if isinstance(fault, tuple):
                return self.send(handler, fault[0], b"{}", Retry_After=fault[1])
            if fault:
                return self.send_json(handler, {"error": "no"}, fault)
        words = path.strip("/").split("/")
        if words[:3] == ["api", "download", "models"]:
            # A signed address at another host, as Civitai gives.
            number = words[3]
            return self.send(handler, 307, Location=f"{self.other_url}/files/{number}?X-Amz-Signature=secret")
        if words[:4] == ["api", "v1", "model-versions", "by-hash"]:
            wanted = words[4].upper()
            for version in self.versions.values():
                if wanted in version["files"][0]["hashes"].values():
                    return self.send_json(handler, version)
            return self.send_json(handler, {"error": "Model not found"}, 404)
        if words[:3] == ["api", "v1", "model-versions"]:
            version = self.versions.get(int(words[3]))
            return self.send_json(handler, version or {"error": "Model not found"}, 200 if version else 404)
        if words[:3] == ["api", "v1", "models"]:
            model = self.models.get(int(words[3]))
            return self.send_json(handler, model or {"error": "No model with id"}, 200 if model else 404)
        if words[:2] == ["api", "models"]:
            repo = "/".join(words[2:4])
            answer = self.repos.get((repo, words[5] if len(words) > 5 else "main"))
            return self.send_json(handler, answer or {"error": "Repository not found"}, 200 if answer else 404)
        if len(words) > 4 and words[2] == "resolve":
            repo, inner = "/".join(words[:2]), "/".join(words[4:])
            if (repo, inner) not in self.repo_files:
                return self.send(handler, 404, b"Entry not found", "text/plain", X_Error_Code="EntryNotFound")
            data, is_lfs = self.repo_files[(repo, inner)]
            if not is_lfs:
                return self.send(handler, 200, data, "text/plain", ETag=f'"{hashlib.sha1(data).hexdigest()}"')
            return self.send(handler, 302, b"", X_Repo_Commit="c0ffee", X_Linked_Size=str(len(data)),
                             X_Linked_ETag=f'"{hashlib.sha256(data).hexdigest()}"',
                             Location=f"{self.other_url}/lfs/{repo}/{urllib.parse.quote(inner)}?Signature=secret")
        return self.send(handler, 404, b"no", "text/plain")

    def send_file(self, handler, path):
        if path not in self.files:
            return self.send(handler, 404, b"NoSuchKey", "application/xml")
        data = self.files[path]
        with self.lock:
            fault = self.faults[path].pop(0) if self.faults.get(path) else None
        if isinstance(fault, int):
            return self.send(handler, fault, b"no", "text/plain")
        if isinstance(fault, tuple):
            return self.send(handler, fault[0], b"no", "text/plain", Retry_After=fault[1])
        if fault == "html":
            return self.send(handler, 200, b"<!DOCTYPE html><html>Log in</html>", "text/html; charset=utf-8")
        if fault == "loop":
            return self.send(handler, 302, Location=f"{self.other_url}{path}")
        if fault == "to file":
            return self.send(handler, 302, Location="file:///etc/passwd")
        if fault == "huge":
            handler.send_response(200)
            handler.send_header("Content-Type", "application/octet-stream")
            handler.send_header("Content-Length", str(10**15))
            handler.end_headers()
            handler.wfile.write(data)
            handler.close_connection = True
            return None
        if fault == "refuse":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            handler.connection.close()
            return None
        etag = self.etags.get(path)
        begin, status = 0, 200
        wanted = handler.headers.get("Range")
        if wanted and fault != "no ranges" and handler.headers.get("If-Range", etag) == etag:
            begin = int(wanted.removeprefix("bytes=").split("-")[0])
            status = 206
            if begin >= len(data):
                return self.send(handler, 416, b"", "text/plain")
        if fault == "wrong range" and status == 206:
            begin = 0
        body = data[begin:]
        if fault == "other bytes":
            body = bytes(len(body))
        handler.send_response(status)
        handler.send_header("Content-Type", "application/octet-stream")
        handler.send_header("Content-Length", str(len(body)))
        if etag:
            handler.send_header("ETag", etag)
        if status == 206:
            handler.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        if fault == "cut":
            body = body[:max(1, len(body) // 2)]
            handler.close_connection = True
        for at in range(0, len(body), 65536):
            handler.wfile.write(body[at:at + 65536])
            handler.wfile.flush()
            if self.slow:
                time.sleep(self.slow)
        return None
