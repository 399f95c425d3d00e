"""docker-compose.yml, against what must be true of it and against the commands that there are."""

from __future__ import annotations

import os
import re
import tomllib
from typing import Any

import pytest
import typer
from sqlalchemy.engine import make_url

from rebase_db.queue import QUEUES
from tests.topology.compose import ROOT, MissingVariableError, compose_file, parsed

FILE = compose_file("the-password-file")
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"].startswith("rebase-db:"))
WORKERS = sorted(name for name in OURS if SERVICES[name]["command"][0] == "work")
SECONDS = {"s": 1, "m": 60, "h": 3600}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def seconds(duration: str) -> int:
    return sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"(\d+)([smh])", duration))


def test_there_is_no_password_in_it_and_none_by_default() -> None:
    with pytest.raises(MissingVariableError, match=r"^POSTGRES_PASSWORD_FILE is not set\. Name a file with the pass"):
        compose_file()
    assert FILE["secrets"] == {"postgres_password": {"file": "the-password-file"}}
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASS|KEY|TOKEN|SECRET", variable):
                # Passed on from outside, or the name of the secret's file.
                assert value in {None, "/run/secrets/postgres_password"}, (name, variable)
        url = service.get("environment", {}).get("REBASE_DATABASE_URL")
        assert url is None or make_url(url).password is None
        if url is not None or name == "database":
            assert service["secrets"] == ["postgres_password"], name
    assert re.findall(r"^POSTGRES_PASSWORD\w*=(.*)$", read("compose.env.example"), re.MULTILINE) == [""]


def test_every_service_that_stays_has_a_health_check_and_time_to_stop() -> None:
    stays = {name for name, service in SERVICES.items() if service.get("restart") == "unless-stopped"}
    assert stays == {"database", "teacher", *WORKERS}
    for name in stays:
        check = SERVICES[name]["healthcheck"]
        assert check["test"][0] == "CMD", name
        assert seconds(check["timeout"]) > 0
        assert seconds(SERVICES[name]["stop_grace_period"]) >= 60, name


def test_services_wait_for_what_they_need() -> None:
    ready = {"database": {"condition": "service_healthy"}}
    assert SERVICES["migrations"]["depends_on"] == SERVICES["rebase"]["depends_on"] == ready
    for name in WORKERS:
        needs = dict(SERVICES[name]["depends_on"])
        if name == "transform":
            # Where the profile is not asked for, the teacher is somewhere else.
            assert needs.pop("teacher") == {"condition": "service_healthy", "required": False}
        assert needs == {**ready, "migrations": {"condition": "service_completed_successfully"}}


def test_only_the_gpu_profile_starts_the_teacher() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {"teacher": ["gpu"], "rebase": ["commands"]}
    (device,) = SERVICES["teacher"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_what_must_outlive_a_container_is_in_named_volumes() -> None:
    mounts = [(name, *volume.split(":")) for name, service in SERVICES.items() for volume in service.get("volumes", [])]
    named = {source for _, source, *_ in mounts if not source.startswith(".")}
    assert named == set(FILE["volumes"]) == {"database", "artifacts", "models", "teacher"}
    # From version 18 on the image keeps the cluster below this folder; a volume further down would stay empty.
    assert [target for name, source, target, *_ in mounts if source == "database"] == ["/var/lib/postgresql"]
    made = dict(re.findall(r"(\w+)=(\S+)", read("Dockerfile").partition("ENV ")[2]))
    for name in WORKERS:
        targets = {source: target for service, source, target, *_ in mounts if service == name}
        assert targets == {"artifacts": f"{made['REBASE_HOME']}/artifacts", "models": made["HF_HOME"]}


def test_the_database_is_not_open_to_other_machines_by_itself() -> None:
    assert SERVICES["database"]["ports"] == ["127.0.0.1:5432:5432"]
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["database"]


@pytest.mark.parametrize("name", OURS)
def test_commands_are_understood(name: str) -> None:
    command = SERVICES[name]["command"]
    if command == ["--help"]:
        with pytest.raises(typer.Exit):
            parsed(command)
    else:
        assert parsed(command) is not None


def test_workers_serve_every_stage_and_answer_where_they_are_asked() -> None:
    served = []
    for name in WORKERS:
        options = parsed(SERVICES[name]["command"])
        served += options["stage"]
        assert f":{options['metrics_port']}/" in SERVICES[name]["healthcheck"]["test"][-1]
        assert options["grace"] < seconds(SERVICES[name]["stop_grace_period"]), "it must be able to hand rows back"
        assert not options["drain"]
    assert sorted(served) == sorted(queue.stage for queue in QUEUES)


def test_the_example_of_settings_has_every_variable() -> None:
    used = set(re.findall(r"\$\{(\w+)", read("docker-compose.yml")))
    used |= {key for name in SERVICES for key, value in SERVICES[name].get("environment", {}).items() if value is None}
    listed = set(re.findall(r"^#?([A-Z_]+)=", read("compose.env.example"), re.MULTILINE))
    assert listed == used - {"REBASE_TAG", "POSTGRES_IMAGE", "TEACHER_IMAGE"}
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", read("docker-compose.yml")))
    shown = dict(re.findall(r"^#([A-Z_]+)=(.+)$", read("compose.env.example"), re.MULTILINE))
    assert shown == {name: defaults[name] for name in shown}


def test_the_image_is_built_from_what_is_let_into_it() -> None:
    let_in = set(re.findall(r"^!(\S+)$", read(".dockerignore"), re.MULTILINE))
    project = tomllib.loads(read("pyproject.toml"))
    needed = {*project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], "pyproject.toml"}
    needed |= {project["project"]["readme"], *project["project"]["license-files"]}
    needed |= set(re.findall(r"^COPY (\w\S+) ", read("Dockerfile"), re.MULTILINE))
    assert let_in == needed
    assert os.access(ROOT / "docker" / "entrypoint", os.X_OK)
