"""How busy the pipeline keeps an API that takes 50 ms a request, as that API itself measures it.

A server in a process of its own answers each request after a fixed time with a page of measurements. It notes
when a request has arrived and when the last byte of its answer is sent; between those the API is busy. Run::

    PYTHONPATH=provider python benchmarks/api_pipeline.py --requests 200
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import socket
import time
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from locus_stem.api import LocusClient, LocusCredentials, LocusEndpoints, answers

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


def body_of(rows: int) -> bytes:
    """Write an answer with so many rows of two fields."""
    data = [
        {"id": 1, "ts": f"2024-01-01T00:{i % 60:02d}:00-00:00", "W_avg": i * 1.37, "Wh_sum": i * 0.61}
        for i in range(rows)
    ]
    return json.dumps({"statusCode": 200, "data": data}).encode()


def serve(report: Connection, seconds: float, rows: int, compress: bool) -> None:
    """Answer requests on one connection after another until told to stop, then report the times."""
    body = body_of(rows)
    encoding = b""
    if compress:
        body, encoding = gzip.compress(body, 6), b"Content-Encoding: gzip\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n" % (
        encoding,
        len(body),
    )
    listener = socket.create_server(("127.0.0.1", 0))
    report.send((listener.getsockname()[1], len(body)))
    times: list[tuple[float, float]] = []
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while connection.recv(65536).endswith(b"\r\n\r\n"):
            arrived = time.perf_counter()
            time.sleep(seconds)
            connection.sendall(head + body)
            times.append((arrived, time.perf_counter()))
    report.send(times)


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.05, help="the API's time for one request")
    parser.add_argument("--rows", type=int, default=4000, help="rows an answer; 4000 are 300 KB")
    parser.add_argument("--plain", action="store_true", help="answer without gzip")
    parser.add_argument("--work", type=float, default=0.005, help="seconds of Python work on each answer")
    options = parser.parse_args()

    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs, options.seconds, options.rows, not options.plain), daemon=True
    )
    server.start()
    port, length = ours.recv()
    credentials = LocusCredentials(host=f"http://127.0.0.1:{port}", grant_type="bearer", password="token")  # noqa: S106
    calls = (
        LocusEndpoints.get_site_data.request(
            site_id=number + 1,
            fields=["W_avg", "Wh_sum"],
            start="2024-01-01T00:00:00",
            end="2024-01-04T00:00:00",
            tz="UTC",
            gran="1min",
        )
        for number in range(options.requests)
    )
    rows = 0
    with LocusClient(credentials) as client:
        for outcome in answers(client, calls):
            if outcome.answer is not None:
                rows += len(outcome.answer.payload)
            until = time.thread_time() + options.work
            while time.thread_time() < until:
                pass
    times = ours.recv()
    server.join()
    if rows != options.rows * options.requests:
        raise SystemExit(f"{rows} rows arrived, {options.rows * options.requests} were sent")
    busy = sum(sent - arrived for arrived, sent in times)
    span = times[-1][1] - times[0][0]
    gaps = sorted(after[0] - before[1] for before, after in pairwise(times))
    print(f"{len(times)} requests, {length / 1000:.0f} KB a body on the wire, {span:.2f} s")
    print(f"API busy {busy / span:.2%} of the span")
    print(
        f"gap from last byte to next request: median {median(gaps) * 1000:.2f} ms, "
        f"95 % {gaps[int(len(gaps) * 0.95)] * 1000:.2f} ms, longest {gaps[-1] * 1000:.2f} ms"
    )


if __name__ == "__main__":
    main()
