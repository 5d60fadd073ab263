#!/usr/bin/env bash
# pooch 1.9.0, requests 2.34.2: a .gz file from a server that sends `Content-Encoding: gzip` with it.
#
# Behavior: pooch's HTTP downloader writes what requests unpacked, so the file on the disk is not the file on the server:
# its SHA-256 is that of the content, and `retrieve` refuses the right file. Apache sends this header for .gz files
# wherever its configuration has `AddEncoding x-gzip .gz .tgz`, a line that the shipped one holds commented out.
# Output seen: "SHA256 hash of downloaded file (data.gz) does not match the known hash".
# A user would have guessed: the bytes of the file, as with curl and wget, and a hash that fits.
set -euo pipefail
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check pooch==1.9.0 requests==2.34.2
cd "$scratch"
venv/bin/python - <<'PYTHON'
import gzip, hashlib, http.server, threading
import pooch

BODY = gzip.compress(b"pixels" * 1000, mtime=0)


class Apache(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/x-gzip")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Apache)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/data.gz"
try:
    pooch.retrieve(url, f"sha256:{hashlib.sha256(BODY).hexdigest()}", "data.gz", "cache")
except ValueError as error:
    print(error)
    assert "does not match" in str(error)
else:
    raise SystemExit("changed: the file comes as it lies on the server")
path = pooch.retrieve(url, None, "data.gz", "unchecked")
assert open(path, "rb").read() == b"pixels" * 1000, "changed: what is written is not the unpacked content"
PYTHON
