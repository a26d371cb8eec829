"""docker/: what the compose file promises of each service, and that what it names is there."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

import locus_stem
from locus_stem.demo.__main__ import sandbox_connections
from support import compose

ROOT = compose.DOCKER.parent
SERVICES = compose.services({})
ENDING = {"secrets", "init", "bucket"}
SECRET = re.compile(r"(PASSWORD|SECRET|TOKEN|KEY)$")
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())


def test_it_has_every_part_and_two_workers():
    parts = {"api-server", "scheduler", "dag-processor", "triggerer", "worker", "postgres", "redis"}
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == parts | {
        "secrets",
        "init",
    }
    assert SERVICES["worker"]["deploy"]["replicas"] == "2"


@pytest.mark.parametrize("name", sorted(SERVICES))
class TestService:
    def test_runs_as_a_user_without_rights(self, name):
        service = SERVICES[name]
        user, _, group = service["user"].partition(":")
        assert int(user) > 0
        assert group
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service

    def test_is_started_again_and_asked_for_its_health_unless_it_ends(self, name):
        service = SERVICES[name]
        if name in ENDING:
            assert service["restart"] in {"no", "on-failure:3"}
        else:
            assert service["restart"] == "unless-stopped"
            assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}

    def test_waits_for_services_that_can_be_waited_for(self, name):
        for other, how in SERVICES[name].get("depends_on", {}).items():
            if how["condition"] == "service_completed_successfully":
                assert other in ENDING
            else:
                assert how["condition"] == "service_healthy"
                assert "healthcheck" in SERVICES[other]

    def test_holds_no_secret(self, name):
        given = compose.environment(SERVICES[name], {}) | SERVICES[name].get("environment", {})
        for variable, value in given.items():
            if SECRET.search(variable):
                assert value is None, variable
            if variable.endswith("_FILE") and SECRET.search(variable.removesuffix("_FILE")):
                assert value.startswith("/secrets/")
        assert not re.search(r"://[^/\s]*:[^/\s]*@", json.dumps(SERVICES[name]))

    def test_has_a_pinned_image(self, name):
        image, _, tag = SERVICES[name]["image"].rpartition(":")
        assert re.fullmatch(r"\d+\.\d+(\.\d+)?(-\w+)?", tag), tag
        if image == "redis":  # numbers its bug fixes in the third place
            assert tag.partition("-")[0].count(".") == 2
        if image == "airflow-locus-stem":
            assert tag == locus_stem.__version__
        if image == "motoserver/moto":
            assert tag == PINS["moto"]

    def test_keeps_what_it_prints_up_to_a_limit(self, name):
        assert SERVICES[name]["logging"] == {
            "driver": "json-file",
            "options": {"max-size": "10m", "max-file": "5"},
        }

    def test_mounts_what_is_there(self, name):
        for mount in SERVICES[name].get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (compose.DOCKER / source).is_dir()
            else:
                assert source in VOLUMES


VOLUMES = set(
    re.findall(r"^  ([\w-]+):$", compose.COMPOSE.read_text().split("\nvolumes:\n")[1], re.MULTILINE)
)


def test_one_service_makes_the_image_and_all_others_of_it_start_after_that():
    (maker,) = (name for name, service in SERVICES.items() if "build" in service)
    assert "pull_policy" not in SERVICES[maker]  # an image of a registry is pulled by it, too
    for name, service in SERVICES.items():
        if name != maker and service["image"] == SERVICES[maker]["image"]:
            assert service["pull_policy"] == "never", name
            assert maker in waited_for(name), name


def waited_for(name):
    direct = set(SERVICES[name].get("depends_on", {}))
    return direct.union(*map(waited_for, direct))


AUTH_MANAGER = "AIRFLOW__CORE__AUTH_MANAGER"


def test_options_of_the_defaults_can_be_given_otherwise_and_the_file_s_own_can_not(tmp_path):
    init = SERVICES["init"]
    assert compose.environment(init, {})[AUTH_MANAGER].endswith(".FabAuthManager")
    given = {AUTH_MANAGER: "my.Manager", "AIRFLOW__CORE__EXECUTOR": "LocalExecutor", "MORE": "a=b",
             "AWS_REGION": "of-the-file"}  # fmt: skip
    (tmp_path / "airflow.env").write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    found = compose.environment(init, {}, tmp_path)
    assert (found[AUTH_MANAGER], found["AIRFLOW__CORE__EXECUTOR"], found["MORE"]) == (
        "my.Manager",
        "CeleryExecutor",
        "a=b",
    )
    assert "AWS_REGION" not in found
    assert compose.environment(init, {"AWS_REGION": "of-the-command"}, tmp_path)["AWS_REGION"] == (
        "of-the-command"
    )


def test_every_service_that_has_variables_of_a_file_may_lack_only_the_one_of_the_secrets():
    for service in SERVICES.values():
        for file in service.get("env_file", []):
            assert file.get("required", True) == (file["path"] != "secrets/airflow.env")
            assert not set(compose.environment({"env_file": [file]}, {})) & set(service["environment"])


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({}, "http://localhost:8080"),
        ({"PORT": "9090"}, "http://localhost:9090"),
        ({"PORT": "9090", "BASE_URL": "https://airflow.example.com"}, "https://airflow.example.com"),
    ],
)
def test_the_address_of_the_login_is_of_the_port_that_is_published_unless_given(variables, address):
    api_server = compose.services(variables)["api-server"]
    assert compose.environment(api_server, variables)["AIRFLOW__API__BASE_URL"] == address
    assert api_server["ports"] == [f"127.0.0.1:{variables.get('PORT', '8080')}:8080"]


def test_headers_of_a_proxy_reach_the_api_server_alone_and_only_where_it_is_named():
    given = {"FORWARDED_ALLOW_IPS": "172.16.0.0/12"}
    takers = {
        name for name in SERVICES if given.items() <= compose.environment(SERVICES[name], given).items()
    }
    assert takers == {"api-server"}
    assert "FORWARDED_ALLOW_IPS" not in compose.environment(SERVICES["api-server"], {})


@pytest.mark.parametrize(
    "name", ["api-server", "scheduler", "dag-processor", "triggerer", "worker", "init", "bucket"]
)
def test_no_proxy_is_asked_for_what_the_file_holds(name):
    ours = {"127.0.0.1", "api-server", "postgres", "redis", "sandbox", "s3"}
    for given, more in (({}, "localhost"), ({"NO_PROXY": ".example.com,10.0.0.0/8"}, ".example.com")):
        found = compose.environment(compose.services(given)[name], given)
        assert {*ours, more} <= set(found["NO_PROXY"].split(","))
        assert found["no_proxy"] == found["NO_PROXY"]


def test_no_more_tasks_are_sent_than_the_workers_have_processes():
    worker = SERVICES["worker"]
    variables = compose.environment(worker, {})
    processes = int(worker["deploy"]["replicas"]) * int(variables["AIRFLOW__CELERY__WORKER_CONCURRENCY"])
    assert int(variables["AIRFLOW__CORE__PARALLELISM"]) == processes


@pytest.mark.parametrize(
    ("service", "name"), [("init", "ADMIN_EMAIL"), ("init", "WAIT_SECONDS"), ("worker", "WAIT_SECONDS")]
)
def test_what_the_entrypoint_takes_from_the_environment_of_the_command_reaches_it(service, name):
    given = {name: "given"}
    assert compose.environment(compose.services(given)[service], given)[name] == "given"


def test_every_variable_of_the_command_is_told_of():
    page = (ROOT / "provider" / "docs" / "cluster.rst").read_text()
    names = re.findall(r"\$\{(\w+)", compose.COMPOSE.read_text())
    for name in {*names, "ADMIN_EMAIL", "FORWARDED_ALLOW_IPS", "WAIT_SECONDS"}:
        assert f"``{name}``" in page, name


def test_only_the_api_server_is_published_and_only_on_this_machine():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api-server": ["127.0.0.1:8080:8080"]}
    assert all(
        "network_mode" not in service or service["network_mode"] == "none" for service in SERVICES.values()
    )


def test_only_the_service_that_makes_secrets_may_write_them():
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            if "/secrets/" in mount:
                assert mount.endswith(":ro") == (name != "secrets")


def test_postgres_and_redis_see_no_secret_but_their_own():
    for name in ("postgres", "redis"):
        seen = {mount.split(":")[0] for mount in SERVICES[name]["volumes"] if "secrets" in mount}
        assert seen == {f"{name}-secrets"}


@pytest.mark.parametrize(
    ("volume", "readers"),
    [("init-secrets", {"init"}), ("jwt-secrets", {"api-server", "scheduler"})],
)
def test_only_the_parts_with_a_use_for_it_see_the_first_login_connections_and_the_key_to_tokens(
    volume, readers
):
    assert {name for name in SERVICES if volume in mounted(name)} == readers | {"secrets"}


def mounted(name):
    return {mount.split(":")[0]: mount.split(":")[1] for mount in SERVICES[name].get("volumes", [])}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_each_secret_s_file_is_in_a_folder_that_is_mounted(name):
    files = {
        value
        for variable, value in SERVICES[name].get("environment", {}).items()
        if variable.endswith("_FILE") and value.startswith("/secrets/")
    }
    assert {str(Path(file).parent) for file in files} <= set(mounted(name).values())


def test_what_volumes_are_mounted_on_belongs_to_the_user_of_airflow():
    made = re.search(r"install --directory.+\n((?: +/.+\n)+)", (compose.DOCKER / "Dockerfile").read_text())[1]
    volumes = {path for volume, path in mounted("secrets").items() if volume in VOLUMES}
    assert volumes | {"/opt/airflow/lake", "/opt/airflow/logs"} == set(made.replace("\\", "").split())


def test_no_secret_can_be_committed():
    assert "docker/.env" in (ROOT / ".gitignore").read_text().split("\n")
    ignored = (compose.DOCKER / "secrets" / ".gitignore").read_text().split("\n")
    assert ("*" in ignored, [line for line in ignored if line.startswith("!")]) == (True, ["!.gitignore"])


def test_the_image_is_of_the_airflow_that_is_tested():
    bases = re.findall(r"^FROM (\S+)", (compose.DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert {base.rpartition("-python")[0] for base in bases} == {f"apache/airflow:{PINS['apache-airflow']}"}


@pytest.fixture
def join(tmp_path):
    """Give a function that joins the image's constraints and the package's own as the Dockerfile does."""
    (program,) = re.findall(r"awk -F== '(.+?)'", (compose.DOCKER / "Dockerfile").read_text(), re.DOTALL)
    joined = program.replace("\\\n", "")  # as the builder hands it to the shell

    def run(image, own):
        files = [tmp_path / "image", tmp_path / "own"]
        for file, text in zip(files, (image, own), strict=True):
            file.write_text(text)
        command = ["awk", "-F==", joined, *map(str, files)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return run


def test_pins_that_the_image_s_own_constraints_name_in_another_spelling_are_left_out(join):
    image = "# of the image\npydantic_core==1\nFlask-AppBuilder==5\nruamel.yaml==3\n"
    own = "pydantic-core==2\nflask_appbuilder==4\nruamel-yaml==2\nRuamel__YAML==1\npydantic==7\n"
    assert join(image, own) == f"{image}pydantic==7\n"


def test_the_package_says_which_deltalake_and_pyarrow(join):
    image = "Deltalake==1.0.0\npyarrow-hotfix==0.7\npyarrow==16.1.0\nattrs==25\n"
    found = join(image, (ROOT / "constraints.txt").read_text()).splitlines()
    assert [pin for pin in found if pin.lower().startswith(("deltalake", "pyarrow="))] == [
        f"{name}=={PINS[name]}" for name in ("deltalake", "pyarrow")
    ]
    assert {"pyarrow-hotfix==0.7", "attrs==25"} <= set(found)
    assert f"attrs=={PINS['attrs']}" not in found


def test_the_image_ends_as_a_user_without_rights():
    users = re.findall(r"^USER (\d+)", (compose.DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert users[-1] == "50000"


def test_what_the_image_copies_is_there_and_reaches_the_builder():
    let_through = (compose.DOCKER / "Dockerfile.dockerignore").read_text().split()
    for line in re.findall(
        r"^COPY (?!--from)(.+)$", (compose.DOCKER / "Dockerfile").read_text(), re.MULTILINE
    ):
        for source in [word for word in line.split() if not word.startswith("--")][:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in let_through


def test_the_sandbox_s_connections_are_its_own_and_allow_plain_http_between_containers():
    found = json.loads((compose.DOCKER / "sandbox-connections.json").read_text())
    due = sandbox_connections("http://sandbox:8765")
    for connection in due.values():
        connection["extra"] = {**connection.get("extra", {}), "allow_http": True}
    assert found == due


def test_the_trial_is_a_project_of_its_own():
    name = re.search(r"^name: (.+)$", compose.COMPOSE.read_text(), re.MULTILINE)[1]
    assert compose.trial()["COMPOSE_PROJECT_NAME"] == f"{name}-trial"


def test_the_trial_s_variables_are_used():
    text = compose.COMPOSE.read_text()
    for name in compose.trial():
        assert (
            name in {"COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"}
            or f"${{{name}" in text
            or re.search(rf"^ +{name}:$", text, re.MULTILINE)
        )
    profiles = {profile for service in SERVICES.values() for profile in service.get("profiles", [])}
    assert set(compose.trial()["COMPOSE_PROFILES"].split(",")) == profiles
    assert Path(compose.trial()["CONNECTIONS_FILE"]).name in {path.name for path in compose.DOCKER.iterdir()}
