"""docker-compose.yml, read by docker-compose itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ditto_avatar.settings import Settings
from tests.deploy.tools import ROOT, run, unknown_variables, variables

PROFILES = ["gpu", "llm", "proxy"]
# Variables of the compose file's own: which image, which folder, which port.
OWN = {"DITTO_IMAGE", "DITTO_GPU_IMAGE", "DITTO_PUBLISH"}


def config(*files: str, **environment: str) -> dict[str, Any]:
    names = [argument for file in ("docker-compose.yml", *files) for argument in ("-f", file)]
    profiles = [f"--profile={profile}" for profile in PROFILES]
    told = run("docker-compose", *names, *profiles, "config", "--format=json", **environment)
    content: dict[str, Any] = json.loads(told)
    return content


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = config()["services"]
    return found


def test_it_is_complete_without_any_variable(services: dict[str, Any]) -> None:
    assert set(services) == {"app", "gpu", "db", "llm", "proxy"}
    assert services["app"]["environment"]["DITTO_DATABASE_URL"].endswith("@db/ditto")


def test_it_serves_this_machine_only_unless_told_otherwise(services: dict[str, Any]) -> None:
    [port] = services["app"]["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "7136", 7136)
    [port] = config(DITTO_PUBLISH="8000")["services"]["app"]["ports"]
    assert (port.get("host_ip"), port["published"]) == (None, "8000")


@pytest.mark.parametrize("name", ["app", "gpu"])
def test_the_server_has_no_more_rights_than_it_needs(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", ["app", "gpu"])
def test_answers_are_finished_before_the_server_is_killed(
    services: dict[str, Any], name: str
) -> None:
    grace = services[name]["stop_grace_period"]
    shutdown_s = float(services[name]["environment"]["DITTO_SHUTDOWN_S"])
    assert float(grace.removesuffix("s")) >= shutdown_s + 10


@pytest.mark.parametrize("name", ["app", "gpu"])
def test_every_variable_is_a_setting(services: dict[str, Any], name: str) -> None:
    assert set(services[name]["environment"]) <= variables()


def test_the_files_name_no_variable_that_is_not_there() -> None:
    for name in ("docker-compose.yml", "deploy/compose/host-network.yml"):
        assert unknown_variables((ROOT / name).read_text(encoding="utf-8")) <= OWN


@pytest.mark.parametrize("name", ["app", "gpu"])
def test_the_server_can_read_what_it_is_given(services: dict[str, Any], name: str) -> None:
    given = services[name]["environment"]
    read = Settings.model_validate(
        {key.removeprefix("DITTO_").lower(): value for key, value in given.items() if value}
    )
    assert read.port == 7136
    assert (read.checkpoints is not None) == (name == "gpu")


def test_only_the_server_reaches_the_database(services: dict[str, Any]) -> None:
    whole = config()
    assert whole["networks"]["store"]["internal"]
    members = {name for name, service in services.items() if "store" in service["networks"]}
    assert members == {"app", "gpu", "db"}
    assert "ports" not in services["db"]


def test_the_server_trusts_the_proxy_and_nobody_else(services: dict[str, Any]) -> None:
    address = services["proxy"]["networks"]["edge"]["ipv4_address"]
    assert services["app"]["environment"]["DITTO_TRUSTED_PROXIES"] == address


def test_the_name_of_the_site_is_known_to_proxy_and_server() -> None:
    named = config(SITE_NAME="avatar.example.org")["services"]
    assert named["proxy"]["environment"]["SITE_NAME"] == "avatar.example.org"
    assert named["app"]["environment"]["DITTO_ALLOWED_HOSTS"] == "avatar.example.org"


def test_it_runs_on_a_machine_without_bridge_networks() -> None:
    found = config("deploy/compose/host-network.yml", APP_PORT="7206")["services"]
    assert found["app"]["network_mode"] == found["db"]["network_mode"] == "host"
    assert "ports" not in found["app"]
    assert found["app"]["environment"]["DITTO_HOST"] == "127.0.0.1"
