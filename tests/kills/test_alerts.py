"""SIGKILL of the alert sync's and the delivery's process: cursor, tables and posts are right after the next try."""

from __future__ import annotations

from collections import Counter

import pytest

from locus_stem.demo import compare_alerts
from support.effects import KillPoint
from support.killed_airflow import ALERT_ACCOUNTS
from support.killed_runs import left_in_staging

POINTS = [
    ("sync", KillPoint("commit:locus_alerts", 1, "before"), "before its commit"),
    ("sync", KillPoint("commit:locus_alerts", 1, "after"), "after its commit"),
    ("deliver", KillPoint("post", 2, "during"), "in a post"),
    ("deliver", KillPoint("post", 3, "after"), "after a post that is not recorded"),
]


@pytest.mark.parametrize(
    ("task", "kill", "when"), POINTS, ids=[f"{task} {kill.title}" for task, kill, _ in POINTS]
)
def test_a_killed_alert_task_loses_and_mixes_up_nothing(killed, task, kill, when):
    account, before = ALERT_ACCOUNTS[POINTS.index((task, kill, when))], len(killed.webhook.posts)
    killed.kill_in(task, kill)
    run = killed.end(killed.trigger(f"locus_alert_sync__{account}"), f"task {task}", when)
    assert run.tries == 2
    posts, lake = killed.webhook.posts[before:], killed.lake_of(account)
    found = compare_alerts.alerts(lake, killed.server.fleet, posts)
    assert [example for one in found for example in one.examples] == []
    assert left_in_staging(lake) == []
    keys = Counter(post.key for post in posts)
    assert len(keys) > 20
    assert sum(keys.values()) - len(keys) <= (kill.number if task == "deliver" else 0)
