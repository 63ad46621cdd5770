"""The chart and the overlays: rendered by Helm and Kustomize, held against Kubernetes' schemas, and
read for what no schema knows."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.worker_metrics import WorkerMetrics
from ditto_avatar.metrics import Metrics
from tests.deploy.tools import ROOT, program, run, unknown_variables, variables

CHART = "deploy/chart"
KUBERNETES = ["1.30", "1.33", "1.37"]
GPU = ("gpu.enabled=true", "gpu.checkpointsClaim=weights")
EVERYTHING = (
    *GPU,
    "gpu.runtimeClassName=nvidia",
    "server.secret=keys",
    "server.trustedProxies=10.0.0.0/8",
    "server.env.DITTO_LANGUAGE=ko",
    "database.secret=database",
    "ingress.enabled=true",
    "gateway.enabled=true",
    "gateway.name=front",
    "serviceMonitor.enabled=true",
)
SHARED = (
    "server.replicas=3",
    "server.trustedProxies=10.0.0.0/8",
    "database.secret=database",
)
SCALED = (*SHARED, "server.autoscaling.enabled=true", "server.autoscaling.maxReplicas=9")
CHOICES = {
    "defaults": (),
    "gpu": GPU,
    "everything": EVERYTHING,
    "shared": SHARED,
    "scaled": SCALED,
}
# Of operators, not of Kubernetes itself: no schema comes with it.
FOREIGN = {"HTTPRoute", "ServiceMonitor"}
CLAIMS_OF_OTHERS = {"weights", "ditto-checkpoints"}

Objects = list[dict[str, Any]]


def template(*values: str) -> Objects:
    """Render the chart."""
    sets = [argument for value in values for argument in ("--set", value)]
    return list(yaml.safe_load_all(run("helm", "template", "ditto", CHART, *sets)))


def overlay(name: str) -> Objects:
    """Build an overlay."""
    folder = f"deploy/kustomize/overlays/{name}"
    return list(yaml.safe_load_all(run("kubectl", "kustomize", folder)))


def rendered(name: str) -> Objects:
    return template(*CHOICES[name]) if name in CHOICES else overlay(name)


@pytest.fixture(scope="module", params=[*CHOICES, "overlay-small", "overlay-gpu"])
def objects(request: pytest.FixtureRequest) -> Objects:
    name: str = request.param
    return rendered(name.removeprefix("overlay-"))


def of_kind(objects: Objects, kind: str) -> Objects:
    return [found for found in objects if found["kind"] == kind]


def pod(objects: Objects) -> dict[str, Any]:
    [deployment] = of_kind(objects, "Deployment")
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


def container(objects: Objects) -> dict[str, Any]:
    [found] = pod(objects)["containers"]
    return dict(found)


def test_helm_has_nothing_to_say() -> None:
    run("helm", "lint", CHART, "--strict")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("server.shutdown=5", "shutdown"),
        ("server.env.OTHER=1", "OTHER"),
        ("gpu.enabled=true", "checkpointsClaim"),
        ("gateway.enabled=true", "/gateway/name"),
    ],
)
def test_values_that_mean_nothing_are_refused(value: str, named: str) -> None:
    done = subprocess.run(
        [program("helm"), "template", "ditto", CHART, "--set", value],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert named in done.stderr


@pytest.mark.parametrize("version", KUBERNETES)
def test_a_field_that_kubernetes_does_not_know_is_found(version: str) -> None:
    [deployment] = of_kind(template(), "Deployment")
    deployment["spec"]["template"]["spec"]["terminationGraceSeconds"] = 5
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, f"{version}.0", strict=True)


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(objects: Objects, version: str) -> None:
    for found in objects:
        if found["kind"] not in FOREIGN:
            kubernetes_validate.validate(found, f"{version}.0", strict=True)


def test_probes_and_services_name_ports_that_there_are(objects: Objects) -> None:
    ports = {port["name"]: port["containerPort"] for port in container(objects)["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(objects)[probe]["httpGet"]["port"] in ports
    [service] = of_kind(objects, "Service")
    offered = {port["name"]: port["targetPort"] for port in service["spec"]["ports"]}
    assert set(offered.values()) <= set(ports)
    for ingress in of_kind(objects, "Ingress"):
        [rule] = ingress["spec"]["rules"]
        [path] = rule["http"]["paths"]
        assert path["backend"]["service"]["name"] == service["metadata"]["name"]
        assert path["backend"]["service"]["port"]["name"] in offered
    for policy in of_kind(objects, "NetworkPolicy"):
        named = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        assert named == set(ports)
    for monitor in of_kind(objects, "ServiceMonitor"):
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= set(offered)
    variables = environment(objects)
    assert (variables["DITTO_PORT"], variables["DITTO_ADMIN_PORT"]) == (
        str(ports["http"]),
        str(ports["admin"]),
    )


def test_everything_selects_the_servers_pod(objects: Objects) -> None:
    [deployment] = of_kind(objects, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    selectors = [deployment["spec"]["selector"]["matchLabels"]]
    selectors += [found["spec"]["selector"] for found in of_kind(objects, "Service")]
    selectors += [
        found["spec"]["podSelector"]["matchLabels"] for found in of_kind(objects, "NetworkPolicy")
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels


def test_running_answers_are_finished_before_the_pod_is_killed(objects: Objects) -> None:
    waits = container(objects)["lifecycle"]["preStop"]["sleep"]["seconds"]
    shutdown_s = int(environment(objects)["DITTO_SHUTDOWN_S"])
    assert pod(objects)["terminationGracePeriodSeconds"] >= waits + shutdown_s + 10


@pytest.mark.parametrize("choice", ["defaults", "gpu", "everything"])
def test_servers_that_do_not_share_never_run_side_by_side(choice: str) -> None:
    objects = rendered(choice)
    [deployment] = of_kind(objects, "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_the_pod_has_no_more_rights_than_it_needs(objects: Objects) -> None:
    security = pod(objects)["securityContext"]
    assert security["runAsNonRoot"]
    assert security["runAsUser"] == security["fsGroup"] == 10001
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod(objects)["automountServiceAccountToken"] is False
    assert container(objects)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_every_mounted_volume_is_there_and_writable_where_it_must_be(objects: Objects) -> None:
    volumes = {volume["name"]: volume for volume in pod(objects)["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container(objects)["volumeMounts"]}
    assert {mount["name"] for mount in mounts.values()} == set(volumes)
    assert {path for path, mount in mounts.items() if not mount.get("readOnly")} >= {
        "/data",
        "/cache",
        "/tmp",
    }
    claims = {found["metadata"]["name"] for found in of_kind(objects, "PersistentVolumeClaim")}
    for volume in volumes.values():
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in claims | CLAIMS_OF_OTHERS


def test_every_variable_is_a_setting(objects: Objects) -> None:
    of_kubernetes = {"POD_IP"}  # stands in the address of a server
    assert set(environment(objects)) <= variables() | of_kubernetes


def test_weights_come_with_a_card_and_a_card_with_weights(objects: Objects) -> None:
    limits = container(objects)["resources"]["limits"]
    checkpoints = environment(objects).get("DITTO_CHECKPOINTS")
    mounts = {mount["mountPath"] for mount in container(objects)["volumeMounts"]}
    assert ("nvidia.com/gpu" in limits) == (checkpoints is not None)
    assert checkpoints is None or {checkpoints, "/dev/shm"} <= mounts


def test_the_name_of_the_site_is_known_to_the_server() -> None:
    names = environment(template("ingress.enabled=true", "ingress.host=a.example"))
    assert names["DITTO_ALLOWED_HOSTS"] == "a.example"
    assert "DITTO_ALLOWED_HOSTS" not in environment(template())


def test_the_base_of_the_overlays_is_the_chart() -> None:
    base = ROOT / "deploy/kustomize/base/server.yaml"
    assert base.read_text(encoding="utf-8") == run("helm", "template", "ditto", CHART), (
        "make deploy-render"
    )


@pytest.mark.parametrize("path", sorted((ROOT / CHART).rglob("*.yaml")), ids=lambda path: path.name)
def test_the_chart_names_no_variable_that_is_not_there(path: Path) -> None:
    assert unknown_variables(path.read_text(encoding="utf-8")) == set()


def environment(objects: Objects) -> dict[str, str]:
    """Return the pod's variables; those from a Secret are empty here."""
    pairs = container(objects)["env"]
    names = [pair["name"] for pair in pairs]
    assert len(names) == len(set(names))
    return {pair["name"]: pair.get("value", "") for pair in pairs}


# Workers --------------------------------------------------------------------------------------

WORKERS = (
    "workers.enabled=true",
    "workers.secret=worker-token",
    "workers.checkpointsClaim=weights",
)


def named(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    [found] = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field_of_the_workers(version: str) -> None:
    for found in template(*WORKERS):
        kubernetes_validate.validate(found, f"{version}.0", strict=True)


def test_workers_need_a_token() -> None:
    with pytest.raises(AssertionError, match="/workers/secret"):
        template("workers.enabled=true")


def test_the_server_finds_its_workers_and_shares_their_token() -> None:
    objects = template(*WORKERS)
    server = named(objects, "Deployment", "ditto")["spec"]["template"]["spec"]["containers"][0]
    worker = named(objects, "Deployment", "ditto-worker")["spec"]["template"]["spec"]
    [container] = worker["containers"]
    service = named(objects, "Service", "ditto-worker")
    assert service["spec"]["clusterIP"] == "None"
    port, admin = service["spec"]["ports"]
    given = {pair["name"]: pair for pair in server["env"]}
    assert given["DITTO_WORKERS"]["value"] == f"ditto-worker:{port['port']}"
    own = {pair["name"]: pair for pair in container["env"]}
    assert own["DITTO_WORKER_TOKEN"] == given["DITTO_WORKER_TOKEN"]
    assert {*own, *given} <= variables()
    assert container["ports"] == [
        {"name": each["targetPort"], "containerPort": each["port"]} for each in (port, admin)
    ]
    assert own["DITTO_ADMIN_PORT"]["value"] == str(admin["port"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == admin["name"]
    assert container["args"][-1] == str(port["port"])
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert container["securityContext"]["readOnlyRootFilesystem"]
    shutdown_s = int(own["DITTO_SHUTDOWN_S"]["value"])
    assert worker["terminationGracePeriodSeconds"] >= shutdown_s + 10
    volumes = {volume["name"] for volume in worker["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_only_the_server_reaches_the_workers() -> None:
    objects = template(*WORKERS)
    policy = named(objects, "NetworkPolicy", "ditto-worker")["spec"]
    labels = named(objects, "Deployment", "ditto")["spec"]["template"]["metadata"]["labels"]
    worker = named(objects, "Deployment", "ditto-worker")["spec"]["template"]["metadata"]["labels"]
    drawing, watching = policy["ingress"]
    [caller] = drawing["from"]
    assert caller["podSelector"]["matchLabels"].items() <= labels.items()
    assert [port["port"] for port in drawing["ports"]] == ["grpc"]
    assert [port["port"] for port in watching["ports"]] == ["admin"]
    for kind in ("Service", "NetworkPolicy", "PodDisruptionBudget"):
        spec = named(objects, kind, "ditto-worker")["spec"]
        selector = spec.get("podSelector", spec["selector"] if "selector" in spec else None)
        assert selector.get("matchLabels", selector).items() <= worker.items()
    assert policy["egress"] == []


def test_workers_are_added_by_the_places_that_are_taken() -> None:
    more = ("workers.autoscaling.enabled=true", "serviceMonitor.enabled=true")
    objects = template(*WORKERS, *more)
    scaler = named(objects, "HorizontalPodAutoscaler", "ditto-worker")
    deployment = named(objects, "Deployment", "ditto-worker")
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]  # or every upgrade would set it back
    [metric] = scaler["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert f"# TYPE {name} gauge".encode() in WorkerMetrics().exposition(pb.Places(total=1))
    monitor = named(objects, "ServiceMonitor", "ditto-worker")["spec"]
    service = named(objects, "Service", "ditto-worker")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    ports = {port["name"] for port in service["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["endpoints"]} <= ports
    for found in objects:
        if found["kind"] not in FOREIGN:
            kubernetes_validate.validate(found, f"{KUBERNETES[-1]}.0", strict=True)


def test_several_servers_share_a_database_and_move_one_at_a_time() -> None:
    objects = template(*SHARED)
    [deployment] = of_kind(objects, "Deployment")
    assert deployment["spec"]["replicas"] == 3
    rolling = deployment["spec"]["strategy"]
    assert rolling["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    named = {one["name"]: one for one in container(objects)["env"]}
    assert named["DITTO_PEER_URL"]["value"] == "http://$(POD_IP):7136"
    names = list(named)
    assert names.index("POD_IP") < names.index("DITTO_PEER_URL")  # or it is not filled in
    assert of_kind(objects, "PersistentVolumeClaim") == []
    [budget] = of_kind(objects, "PodDisruptionBudget")
    [policy] = of_kind(objects, "NetworkPolicy")
    pods = deployment["spec"]["selector"]["matchLabels"]
    assert budget["spec"]["selector"]["matchLabels"] == pods
    assert {"podSelector": {"matchLabels": pods}} in policy["spec"]["ingress"][0]["from"]


def test_servers_are_added_by_the_turns_that_speak() -> None:
    objects = template(*SCALED)
    [scaler] = of_kind(objects, "HorizontalPodAutoscaler")
    [deployment] = of_kind(objects, "Deployment")
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]  # or every upgrade would set it back
    [metric] = scaler["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert f"# TYPE {name} gauge".encode() in Metrics().exposition()


@pytest.mark.parametrize("missing", ["database.secret", "server.trustedProxies"])
def test_several_servers_without_what_they_need_are_refused(missing: str) -> None:
    values = [value for value in SHARED if not value.startswith(missing)]
    with pytest.raises(AssertionError, match="several servers need"):
        template(*values)
