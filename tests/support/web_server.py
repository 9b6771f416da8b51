# SPDX-License-Identifier: Apache-2.0
"""A web server with a thread for each connection, for tests/system/test_python_web_server.py. Prints its port."""
import http.server
import json
import sys
import threading

cache, lock = {}, threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        number = int(self.path.rpartition("/")[2])
        entry = {"number": number, "squares": [i * i for i in range(number % 50)], "text": "x" * (number % 2000)}
        with lock:
            cache[number % 500] = entry
        body = json.dumps(entry).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
server.shutdown()
