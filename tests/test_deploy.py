"""The deployment files: no container engine runs here, so their commands, settings and health checks run as processes."""

import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.product import CLEAN, eventually
from tests.redis_server import running_redis
from tests.test_apart import apart
from tradeul.assemble.parts import SERVICES
from tradeul.settings import Settings

ROOT = Path(__file__).parent.parent
NAMES = {
    "data_maintenance": ("tradeul_data_maintenance", "maintenance"),
    "scanner": ("tradeul_scanner", "scanner"),
    "websocket_server": ("tradeul_websocket_server", "gateway"),
    "historical": ("tradeul_historical", "historical"),
    "sec_filings": ("tradeul_sec_filings", "filings"),
    "api": ("tradeul_api", "api"),
}
STORES = {"redis": "tradeul_redis", "timescale": "tradeul_timescale"}
FROM_OUTSIDE = {"MASSIVE_API_KEY": "", "TRADEUL_TOKEN": "secret", "REDIS_PASSWORD": "r", "POSTGRES_PASSWORD": "p"}


@pytest.fixture(scope="module")
def containers():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def filled(value):
    """As compose fills ``${NAME:-default}`` and ``${NAME:?why}``."""
    return re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda found: FROM_OUTSIDE.get(found[1], ""), str(value))


def test_containers_have_their_names_limits_logs_and_health_checks(containers):
    assert {name: each["container_name"] for name, each in containers.items()} == STORES | {n: c for n, (c, _) in NAMES.items()}
    for each in containers.values():
        assert each["restart"] == "unless-stopped" and each["mem_limit"] and each["healthcheck"]["test"]
        assert each["logging"]["options"].keys() == {"max-size", "max-file"}
        assert each["environment"]["TZ"] == "America/New_York"


def test_redis_has_a_password_and_what_is_exposed_is_for_this_machine_only(containers):
    command = containers["redis"]["command"]
    assert command[command.index("--requirepass") + 1] == "${REDIS_PASSWORD}"
    assert not any("ports" in containers[name] for name in (*STORES, "data_maintenance", "scanner"))
    assert all(port.startswith("127.0.0.1:") for each in containers.values() for port in each.get("ports", ()))


def test_services_are_all_there_with_settings_that_exist_and_ports_that_are_theirs(containers):
    known = {f"TRADEUL_{name.upper()}" for name in Settings.model_fields} | {"MASSIVE_API_KEY", "TZ"}
    assert {service for _, service in NAMES.values()} == set(SERVICES)
    for name, (_, service) in NAMES.items():
        each, port = containers[name], Settings.model_fields[f"{service}_port"].default
        assert each["command"] == ["up", service]
        assert each["environment"].keys() <= known
        assert f"127.0.0.1:{port}/health" in each["healthcheck"]["test"][-1]
        assert each.get("ports", [f"127.0.0.1:{port}:{port}"]) == [f"127.0.0.1:{port}:{port}"]
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    assert set(re.findall(r"TRADEUL_\w+", text)) <= known


def test_what_is_scraped_are_the_services_and_their_ports():
    (job,) = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]
    expected = {f"{name}:{Settings.model_fields[f'{service}_port'].default}" for name, (_, service) in NAMES.items()}
    assert set(job["static_configs"][0]["targets"]) == expected


def watched_metrics():
    rules = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())["groups"][0]["rules"]
    return {name for rule in rules for name in re.findall(r"tradeul_\w+", rule["expr"])}


@pytest.mark.long
def test_every_command_and_health_check_runs_over_real_servers_and_every_watched_metric_is_told(containers, tmp_path, postgres):
    """The command and the environment of each container, but for addresses: all are on one machine here, on free ports."""
    with running_redis() as server:
        here = {"redis_url": server.url, "database_url": postgres.new_database(), "host": "127.0.0.1"}
        beside = {name: filled(value) for name, value in containers["api"]["environment"].items() if name != "MASSIVE_API_KEY"}
        kept = {name.removeprefix("TRADEUL_").lower(): value for name, value in beside.items() if value and name != "TZ"}
        urls = {"maintenance_url": "maintenance", "gateway_url": "gateway"}
        with apart(tmp_path, **kept | here) as services:
            services.settings |= {url: f"http://localhost:{services.settings[f'{name}_port']}" for url, name in urls.items()}
            services.start(*(containers[name]["command"][-1] for name in NAMES))
            for name, (_, service) in NAMES.items():
                services.up[service].ready()
                theirs, ours = Settings.model_fields[f"{service}_port"].default, services.settings[f"{service}_port"]
                kind, python, *check = [word.replace(f":{theirs}/", f":{ours}/") for word in containers[name]["healthcheck"]["test"]]
                assert (kind, python) == ("CMD", "python")
                subprocess.run([sys.executable, *check], check=True, env=CLEAN, timeout=30)
            eventually(lambda: watched_metrics() <= told(services), 60)
            assert services.end(*services.up) == dict.fromkeys(SERVICES, 0)


def told(services):
    """The names of all metrics that all services show."""
    shown = ""
    for name in SERVICES:
        with urllib.request.urlopen(f"http://127.0.0.1:{services.settings[f'{name}_port']}/metrics", timeout=10) as answer:
            shown += answer.read().decode()
    return set(re.findall(r"^(tradeul_\w+)", shown, re.MULTILINE))
