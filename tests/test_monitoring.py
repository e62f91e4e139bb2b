"""What is named in alerts, dashboard and documentation is what the program exports; and Prometheus
takes it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_command import Program, fetch, kubeconfig

from servicereflector.testing.processes import free_port

ROOT = Path(__file__).parents[1]
MONITORING = ROOT / "manifests" / "monitoring"
DOCUMENT = ROOT / "docs" / "metrics.md"

#: As they stand in PromQL: Kubernetes' own name beside the program's.
NAME = re.compile(r"\b(service_reflector_[a-z_]+|leader_election_[a-z_]+)\b")

_ROW = re.compile(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \|", re.M)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The type of each family that a process has all of whose parts are on, by its name."""
    directory = tmp_path_factory.mktemp("monitoring")
    tokens = directory / "tokens"
    tokens.write_text("secret,somebody,1\n")
    nobody = f"http://127.0.0.1:{free_port()}"
    program = Program(
        directory,
        kubeconfig(directory / "unreachable.yaml", nobody),
        f"--source-api=east={nobody}",
        "--reflector.leader-elect",
        f"--emitter.token-auth-file={tokens}",
        f"--admin-socket={directory}/admin.sock",
    )
    try:
        program.wait_until_alive()
        _, text = fetch(f"{program.health}/metrics")
        types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        yield {name: each for name, each in types.items() if NAME.fullmatch(name)}
    finally:
        program.process.kill()
        program.process.wait()


@pytest.fixture(scope="module")
def promtool() -> str:
    """Of Debian's package prometheus. Without it a test skips; in CI it fails."""
    found = shutil.which("promtool")
    if found is None:
        assert "CI" not in os.environ, "promtool is missing"
        pytest.skip("promtool is missing")
    return found


def run(promtool: str, *arguments: str | Path) -> None:
    ran = subprocess.run(
        [promtool, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    found = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def dashboard_expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def families(expression: str) -> set[str]:
    """Those that a PromQL expression names; what a histogram consists of is of its family."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in NAME.findall(expression)}


def test_every_metric_is_documented_with_its_type(exported: dict[str, str]) -> None:
    """And none that is not there."""
    documented = dict(_ROW.findall(DOCUMENT.read_text()))
    assert documented == exported


def test_the_document_names_what_there_is(exported: dict[str, str]) -> None:
    """In its PromQL and between the tables, too."""
    assert families(DOCUMENT.read_text()) <= exported.keys()


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_goes_by_metrics_that_there_are(
    exported: dict[str, str], alert: dict[str, Any]
) -> None:
    """It says how bad it is, what it is about, what to do, and where more stands."""
    names = families(alert["expr"])
    assert names
    assert names <= exported.keys()
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert re.fullmatch(r"[1-9][0-9]*m", alert["for"])
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert (ROOT / alert["annotations"]["runbook_url"]).is_file()
    assert families(alert["annotations"]["description"]) <= exported.keys()
    constant = alert["expr"].startswith("absent(") or alert["expr"].endswith(" == 0")
    assert constant or "$value" in alert["annotations"]["summary"]


def test_the_rules_are_rules(promtool: str) -> None:
    """By Prometheus' own word."""
    run(promtool, "check", "rules", MONITORING / "alerts.yaml")


def test_each_alert_fires_where_it_should_and_not_elsewhere(promtool: str) -> None:
    """There is a test of each, with a moment at which it fires and one at which it does not."""
    run(promtool, "test", "rules", MONITORING / "alerts_test.yaml")
    tests = yaml.safe_load((MONITORING / "alerts_test.yaml").read_text())["tests"]
    tried = {test["name"]: test["promql_expr_test"] for test in tests}
    assert tried.keys() == {alert["alert"] for alert in alerts()}
    for name, moments in tried.items():
        assert all(f'alertname="{name}"' in moment["expr"] for moment in moments)
        assert {bool(moment["exp_samples"]) for moment in moments} == {True, False}


def test_a_rule_that_is_wrong_would_be_found(promtool: str, tmp_path: Path) -> None:
    """One threshold is another."""
    rules = (MONITORING / "alerts.yaml").read_text()
    (tmp_path / "alerts.yaml").write_text(rules.replace("_change_seconds) > 60", "_seconds) > 1e6"))
    shutil.copy(MONITORING / "alerts_test.yaml", tmp_path)
    with pytest.raises(AssertionError, match="ServiceReflectorBehind"):
        run(promtool, "test", "rules", tmp_path / "alerts_test.yaml")


def test_the_dashboard_and_the_document_are_promql(promtool: str, tmp_path: Path) -> None:
    """Grafana's variables apart."""
    documented = re.findall(r"^```promql\n(.*?)```$", DOCUMENT.read_text(), re.M | re.S)
    assert documented
    lines = [line for block in documented for line in block.splitlines() if line]
    rules = [
        {"record": f"it:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate([*dashboard_expressions(), *lines])
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "it", "rules": rules}]}))
    run(promtool, "check", "rules", path)


def test_the_dashboard_goes_by_metrics_that_there_are(exported: dict[str, str]) -> None:
    """Of the program's; a panel tells what it shows, and in which unit."""
    for panel in panels():
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
    names = set().union(*map(families, dashboard_expressions()))
    assert len(names) > 15
    assert names <= exported.keys()


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """The data source and the job are variables; no panel covers another."""
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    assert {v["name"] for v in dashboard["templating"]["list"]} == {"datasource", "job"}
    assert all('job=~"$job"' in expression for expression in dashboard_expressions())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    covered: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & covered
        assert max(x for x, _ in cells) < 24
        covered |= cells
