"""What pyarrow sends of a SAS token, and that nothing of it is shown when a store quotes it."""

from __future__ import annotations

import json
import traceback
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pyarrow.fs
import pytest
from airflow.providers.common.compat.sdk import redact

from locus_stem.hooks.lake import open_lake
from locus_stem.tables.lake import LakeError
from support.serving import serving

SIGNATURE = "very-secret/signature+of="
ENCODED = "very-secret%2Fsignature%2Bof%3D"
TOKEN = f"sv=2022-11-02&ss=b&sp=rwdl&se=2030-01-01T00:00:00Z&sig={ENCODED}"


class Refusing(BaseHTTPRequestHandler):
    """Refuses everything, and notes what it was asked for."""

    def do_HEAD(self):
        self.server.paths.append(self.path)
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self):
        self.do_HEAD()

    def log_message(self, *_):
        """Say nothing."""


def refusing():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.paths = []
    return serving(server)


@pytest.mark.parametrize("given", [TOKEN, f"?{TOKEN}", f"https://account.blob.core.windows.net/?{TOKEN}"])
def test_a_sas_token_is_sent_as_a_query_and_its_signature_is_not_shown(monkeypatch, given):
    fields = {"conn_type": "wasb", "extra": {"sas_token": given}}
    monkeypatch.setenv("AIRFLOW_CONN_CLOUD", json.dumps(fields))
    with refusing() as server:
        place = {
            f"{kind}_storage_{name}": value
            for kind in ("blob", "dfs")
            for name, value in (("authority", f"127.0.0.1:{server.server_port}"), ("scheme", "http"))
        }
        monkeypatch.setattr(pyarrow.fs, "AzureFileSystem", partial(pyarrow.fs.AzureFileSystem, **place))
        with pytest.raises(LakeError, match="403 Forbidden") as caught:
            open_lake("abfss://cloud@c@account.dfs.core.windows.net/lake").check()
    asked = urlsplit(server.paths[0])
    assert asked.path.rstrip("/") == "/account/c"
    assert parse_qs(asked.query)["sig"] == [SIGNATURE]
    said = redact("".join(traceback.format_exception(caught.value)))
    assert not any(one in text for one in (SIGNATURE, ENCODED) for text in (str(caught.value), said))
