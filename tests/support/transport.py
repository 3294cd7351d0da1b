"""Sends HTTP requests for a host program: one JSON object a line comes in, one a line goes out.

In:  {"id", "method", "url", "headers", "body": text or null, "seconds": longest silence}
Out: {"id", "status", "headers", "body": one character a byte}, or {"id", "lost": why}
"""

import http.client
import json
import os
import sys
import threading
import urllib.parse

speaking = threading.Lock()


def send(request):
    url = urllib.parse.urlsplit(request["url"])
    target = url.path + ("?" + url.query if url.query else "")
    body = request["body"]
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=request["seconds"])
    try:
        body = None if body is None else body.encode()
        connection.request(request["method"], target, body, request["headers"])
        answer = connection.getresponse()
        came = answer.read()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return {"status": answer.status, "headers": headers, "body": came.decode("latin-1")}
    except (OSError, http.client.HTTPException) as error:
        return {"lost": f"{type(error).__name__}: {error}"}
    finally:
        connection.close()


def work(request):
    answer = json.dumps({"id": request["id"], **send(request)})
    with speaking:
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


for line in sys.stdin:
    threading.Thread(target=work, args=(json.loads(line),), daemon=True).start()
# Nobody waits for the answers that are still to come.
os._exit(0)
