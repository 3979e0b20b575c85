"""The proxy of batch/desk/README.md as it stands there: TLS, a password, the name of who marks."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time

import bcrypt
import pandas as pd
import pytest

from batch.desk.mark_file import NAME
from batch.review.worklist.marks import read_marks
from tests.desk.desk_process import Browser, Desk, publish, write_photographs
from tests.support.archives import REPOSITORY

SECRET = "0123456789abcdef0123456789abcdef"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def programs():
    missing = [name for name in ("nginx", "openssl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {' and no '.join(missing)}: the proxy cannot be tried")


@pytest.fixture
def proxied(programs, tmp_path):
    """Port of nginx and of the desk, reports, and a context that trusts nginx's certificate."""
    root, front, back = tmp_path, free_port(), free_port()
    root.chmod(0o755)
    write_photographs(root / "archive", ["a.jpg"])
    publish(root / "reports", root / "archive", scores={"a.jpg": 0.9})
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=desk.hospital.example", "-addext", "subjectAltName=DNS:desk.hospital.example",
         "-keyout", root / "desk.key", "-out", root / "desk.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    hashed = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
    (root / "desk.htpasswd").write_text(f"KS:{hashed}\n")
    (root / "desk-secret.conf").write_text(f'proxy_set_header X-Desk-Secret "{SECRET}";\n')
    (root / "secret").write_text(SECRET)
    (root / "secret").chmod(0o600)
    text = (REPOSITORY / "batch" / "desk" / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```nginx\n(.*?)```", text, re.S)[1]
    for old, new in (("443", str(front)), ("8787", str(back)), ("/etc/ssl", str(root)),
                     ("/etc/nginx", str(root))):  # fmt: skip
        assert old in block
        block = block.replace(old, new)
    kinds = "".join(f"{kind}_temp_path {root}/{kind};\n" for kind in
                    ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))  # fmt: skip
    user = "user root;\n" if os.geteuid() == 0 else ""
    (root / "nginx.conf").write_text(
        f"{user}daemon off;\npid {root}/pid;\nerror_log {root}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{kinds}{block}}}\n"
    )
    nginx = subprocess.Popen(
        ["nginx", "-c", root / "nginx.conf", "-p", root], stderr=subprocess.PIPE
    )
    site = f"https://desk.hospital.example:{front}"
    words = ["--url", site, "--user-header", "X-Remote-User", "--proxy-secret-file",
             str(root / "secret"), "--port", str(back)]  # fmt: skip
    try:
        with Desk(root / "reports", *words) as desk:
            desk.port = back
            yield desk, site, front, root
    finally:
        nginx.terminate()
        nginx.wait(20)


def ask(site, front, root, path="/", body=None, password="open sesame", **headers):
    """A request to the site, whose name is this machine's for once."""
    context = ssl.create_default_context(cafile=root / "desk.pem")
    for _ in range(100):
        try:
            raw = socket.create_connection(("127.0.0.1", front), 30)
            break
        except OSError:
            time.sleep(0.1)
    connection = http.client.HTTPConnection("127.0.0.1", front)
    connection.sock = context.wrap_socket(raw, server_hostname="desk.hospital.example")
    told = {"Host": site.partition("://")[2], **headers}
    if password:
        told["Authorization"] = "Basic " + base64.b64encode(f"KS:{password}".encode()).decode()
    connection.request("GET" if body is None else "POST", path, body, told)
    got = connection.getresponse()
    answer = got.status, got.read()
    connection.close()
    return answer


def test_nginx_says_who_marks_and_nobody_else_can(proxied):
    desk, site, front, root = proxied
    assert ask(site, front, root, password="")[0] == 401
    assert ask(site, front, root, password="wrong")[0] == 401
    status, page = ask(site, front, root, **{"X-Remote-User": "Eve", "X-Desk-Secret": "guess"})
    assert status == 200 and b"&quot;reviewer&quot;: &quot;KS&quot;" in page
    assert desk.ask("GET", "/", X_Remote_User="KS").status == 401  # past the proxy

    browser = Browser.__new__(Browser)
    token = re.search(rb"&quot;token&quot;: &quot;(\w+)&quot;", page)[1].decode()
    run_id = re.search(rb"&quot;run_id&quot;: &quot;([\w-]+)&quot;", page)[1].decode()
    browser.settings, browser.known = {"run_id": run_id, "reviewer": "KS"}, {}
    key = pd.read_parquet(root / "reports" / "latest" / "review_worklist.parquet")["lesion_key"][0]
    body = json.dumps(browser.body(key)).encode()
    sent = {"Content-Type": "application/json", "X-Desk-Token": token}
    post = [site, front, root, "/desk/marks", body]
    assert ask(*post, Origin="https://evil.example", **sent)[0] == 403
    assert ask(*post, Origin=site, **sent)[0] == 200
    (mark,) = read_marks(root / "reports" / NAME).found
    assert (mark.lesion_key, mark.reviewer) == (key, "KS")
