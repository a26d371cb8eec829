"""The sandbox as a process of its own, and fleets of any size."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx
import psutil
import pytest

from locus_stem.sandbox import Fleet
from locus_stem.sandbox.__main__ import main

BEARER = {"Authorization": "Bearer sandbox-token"}


@pytest.fixture
def start(tmp_path):
    """Start `python -m locus_stem.sandbox` and give its address."""
    running = []

    def begin(*arguments):
        port_file = tmp_path / f"port{len(running)}"
        command = [
            sys.executable,
            "-m",
            "locus_stem.sandbox",
            "--port",
            "0",
            "--port-file",
            str(port_file),
            *arguments,
        ]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        until = time.monotonic() + 15
        while not port_file.exists():
            assert time.monotonic() < until
            assert running[-1].poll() is None
            time.sleep(0.01)
        return running[-1], f"http://127.0.0.1:{port_file.read_text()}"

    yield begin
    for process in running:
        process.kill()
        process.wait()


def test_a_process_and_a_test_make_the_same_fleet_from_the_same_values(start):
    now = datetime(2025, 3, 1, 12, 7, tzinfo=UTC)
    _, url = start("--sites", "5", "--seed", "11", "--now", now.isoformat(), "--freeze")
    query = "start=2025-01-01T00:00:00&end=2025-01-03T00:00:00&tz=UTC&gran=hourly&fields=Wh_sum"
    rows = httpx.get(f"{url}/v3/sites/3000001/data?{query}", headers=BEARER).json()["data"]
    begun = datetime(2025, 1, 1, tzinfo=UTC)
    truth = Fleet(sites=5, seed=11, now=now).truth_site_data(
        3_000_001, "hourly", begun, begun + timedelta(days=2), ["Wh_sum"]
    )
    assert [{"ts": datetime.fromisoformat(row["ts"]), "Wh_sum": row.get("Wh_sum")} for row in rows] == truth


def test_a_fleet_of_10000_sites_answers_within_two_seconds_of_computing(start):
    process, url = start("--sites", "10000")
    answer = httpx.get(f"{url}/v3/sites/3010000", headers=BEARER)
    used = psutil.Process(process.pid).cpu_times()  # its own, whatever else the machine does
    assert used.user + used.system < 2
    assert answer.json()["id"] == 3_010_000


def test_the_process_ends_at_once_when_it_is_told_to(start):
    process, url = start()
    assert httpx.get(f"{url}/v3/partners/1/clients", headers=BEARER).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == 0


def test_options_and_faults_reach_the_server(start):
    _, url = start("--fault", "503=1", "--fault-streak", "1", "--bearer-token", "mine", "--partner", "9")
    headers = {"Authorization": "Bearer mine"}
    statuses = [httpx.get(f"{url}/v3/partners/9/clients", headers=headers).status_code for _ in range(2)]
    assert statuses == [503, 200]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "earthquake=1"], "KIND=RATE"),
        (["--now", "2025-01-01"], "offset"),
        (["--now", "x"], "ISO 8601"),
    ],
)
def test_a_wrong_argument_ends_with_what_is_allowed(capsys, arguments, said):
    with pytest.raises(SystemExit):
        main(arguments)
    assert said in capsys.readouterr().err


def test_help_explains_the_faults_and_the_controls():
    command = [sys.executable, "-m", "locus_stem.sandbox", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout
    for word in ("refresh-refused", "bad-field", "/_sandbox/revise", "--stem-shift", "loopback"):
        assert word in text


def test_all_of_a_large_fleet_is_listed_quickly(serve):
    plant = serve(Fleet(sites=10_000, now=datetime(2025, 3, 1, tzinfo=UTC)))
    begun = time.process_time()
    assert len(plant.get("/v3/partners/1/sites").json()["sites"]) == 10_000
    assert time.process_time() - begun < 2
