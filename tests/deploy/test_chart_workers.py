"""Workers in the chart, as a Ray cluster of KubeRay's and with certificates."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest

from ditto_avatar.cluster.directory import Place
from tests.deploy.test_chart import KUBERNETES, WORKERS, Objects, named, of_kind, template
from tests.deploy.tools import ROOT, variables

RAY = (*WORKERS, "workers.ray.enabled=true", "workers.tag=ray")
RAY_SCALED = (
    *RAY,
    "workers.autoscaling.enabled=true",
    "workers.autoscaling.maxReplicas=9",
    "gpu.runtimeClassName=nvidia",
)
TLS = ("workers.tls.workerSecret=worker-tls", "workers.tls.serverSecret=server-tls")


@pytest.fixture(params=[RAY, RAY_SCALED], ids=["fixed", "scaled"])
def objects(request: pytest.FixtureRequest) -> Objects:
    return template(*request.param)


def cluster(objects: Objects) -> dict[str, Any]:
    spec: dict[str, Any] = named(objects, "RayCluster", "ditto-ray")["spec"]
    return spec


def head(objects: Objects) -> dict[str, Any]:
    spec: dict[str, Any] = cluster(objects)["headGroupSpec"]["template"]["spec"]
    return spec


def workers(objects: Objects) -> dict[str, Any]:
    [group] = cluster(objects)["workerGroupSpecs"]
    return dict(group)


def environment(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    names = [pair["name"] for pair in container["env"]]
    assert len(names) == len(set(names))
    return {pair["name"]: pair for pair in container["env"]}


def server(objects: Objects) -> dict[str, Any]:
    spec: dict[str, Any] = named(objects, "Deployment", "ditto")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field_of_the_nodes(objects: Objects, version: str) -> None:
    pods = [head(objects), workers(objects)["template"]["spec"]]
    made = [{"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": spec} for spec in pods]
    for found in [*made, *(each for each in objects if each["kind"] != "RayCluster")]:
        kubernetes_validate.validate(found, f"{version}.0", strict=True)


def test_ray_takes_the_place_of_the_deployment(objects: Objects) -> None:
    names = {found["metadata"]["name"] for found in objects}
    assert "ditto-worker" not in names
    assert of_kind(template(*WORKERS), "RayCluster") == []


def test_servers_ask_the_keeper_where_the_workers_are(objects: Objects) -> None:
    [container] = server(objects)["containers"]
    place = Place.parse(environment(container)["DITTO_WORKERS"]["value"])
    assert place.is_directory
    service = named(objects, "Service", place.host)["spec"]
    [port] = service["ports"]
    assert port["port"] == place.port
    _, keeper = head(objects)["containers"]
    assert keeper["ports"] == [{"name": port["targetPort"], "containerPort": place.port}]
    assert f"--port={place.port}" in keeper["args"]
    assert service["selector"] == {"ray.io/cluster": "ditto-ray", "ray.io/node-type": "head"}


def test_the_keeper_asks_for_as_many_workers_as_there_may_be_nodes(objects: Objects) -> None:
    group = workers(objects)
    _, keeper = head(objects)["containers"]
    asked = dict(part.removeprefix("--").split("=") for part in keeper["args"][1:])
    assert (int(asked["workers"]), int(asked["most"])) == (
        group["minReplicas"],
        group["maxReplicas"],
    )
    assert group["replicas"] == group["minReplicas"]
    # One worker fills a node, and none fits beside the head.
    assert float(asked["cpus"]) == float(group["rayStartParams"]["num-cpus"])
    assert float(asked["gpus"]) == float(group["rayStartParams"]["num-gpus"])
    assert cluster(objects)["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    more = group["maxReplicas"] > group["minReplicas"]
    assert cluster(objects)["enableInTreeAutoscaling"] is more


def test_the_keeper_joins_the_node_of_the_head(objects: Objects) -> None:
    mounts = [
        {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        for container in head(objects)["containers"]
    ]
    for path in ("/tmp", "/dev/shm"):
        assert mounts[0][path] == mounts[1][path]
    volumes = {volume["name"] for volume in head(objects)["volumes"]}
    assert set(mounts[0].values()) | set(mounts[1].values()) == volumes


def test_workers_have_the_settings_the_card_and_the_weights(objects: Objects) -> None:
    [container] = workers(objects)["template"]["spec"]["containers"]
    given = environment(container)
    known = {"RAY_USAGE_STATS_ENABLED"}
    assert set(given) <= variables() | known
    [serving] = server(objects)["containers"]
    assert given["DITTO_WORKER_TOKEN"] == environment(serving)["DITTO_WORKER_TOKEN"]
    assert given["DITTO_CHECKPOINTS"]["value"] in {
        mount["mountPath"] for mount in container["volumeMounts"]
    }
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "num-gpus" in workers(objects)["rayStartParams"]


def test_the_nodes_have_no_more_rights_than_they_need(objects: Objects) -> None:
    for spec in (head(objects), workers(objects)["template"]["spec"]):
        assert spec["securityContext"]["runAsUser"] == 10001
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            for probe in ("readinessProbe", "livenessProbe"):
                if probe in container:
                    ports = {port["name"] for port in container["ports"]}
                    assert container[probe]["tcpSocket"]["port"] in ports


def test_rays_own_ports_are_open_to_its_nodes_alone(objects: Objects) -> None:
    policy = named(objects, "NetworkPolicy", "ditto-ray")["spec"]
    assert policy["podSelector"]["matchLabels"] == {"ray.io/cluster": "ditto-ray"}
    among, drawing = policy["ingress"]
    assert among == {"from": [{"podSelector": policy["podSelector"]}]}
    labels = named(objects, "Deployment", "ditto")["spec"]["template"]["metadata"]["labels"]
    [caller] = drawing["from"]
    assert caller["podSelector"]["matchLabels"].items() <= labels.items()
    directory, chosen = drawing["ports"]
    assert directory["port"] == "directory"
    rays = {6379, 6380, 8265, 10001}
    assert not rays & set(range(chosen["port"], chosen["endPort"] + 1))


@pytest.mark.parametrize(
    ("values", "named_"),
    [
        ((*WORKERS, "workers.ray.enabled=true"), "/workers/tag"),
        (("workers.ray.enabled=true", "workers.tag=ray", "workers.secret=s"), "/workers/enabled"),
        ((*RAY, *TLS), "/workers/tls/workerSecret"),
        ((*WORKERS, TLS[0]), "/workers/tls/serverSecret"),
        ((*WORKERS, TLS[1]), "/workers/tls/workerSecret"),
    ],
)
def test_what_does_not_go_together_is_refused(values: tuple[str, ...], named_: str) -> None:
    with pytest.raises(AssertionError, match=named_):
        template(*values)


def test_the_version_of_ray_is_the_one_that_the_dockerfile_names() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"RAY=ray=={cluster(template(*RAY))['rayVersion']} " in dockerfile


@pytest.mark.parametrize("token", [True, False])
def test_certificates_are_mounted_on_both_sides(token: bool) -> None:
    values = WORKERS if token else [v for v in WORKERS if not v.startswith("workers.secret")]
    objects = template(*values, *TLS)
    sides = {"ditto": "server-tls", "ditto-worker": "worker-tls"}
    for side, secret in sides.items():
        spec = named(objects, "Deployment", side)["spec"]["template"]["spec"]
        [container] = spec["containers"]
        given = environment(container)
        assert ("DITTO_WORKER_TOKEN" in given) == token
        [volume] = [each for each in spec["volumes"] if each["name"] == "certificates"]
        # Read by the group of the pod's own user.
        assert volume["secret"] == {"secretName": secret, "defaultMode": 0o440}
        [mount] = [each for each in container["volumeMounts"] if each["name"] == "certificates"]
        assert mount["readOnly"]
        files = {given[f"DITTO_WORKER_{which}"]["value"] for which in ("CERTIFICATE", "KEY", "CA")}
        assert files == {
            f"{mount['mountPath']}/{file}" for file in ("tls.crt", "tls.key", "ca.crt")
        }
    for found in objects:
        kubernetes_validate.validate(found, f"{KUBERNETES[-1]}.0", strict=True)


def test_without_certificates_none_are_mounted() -> None:
    for found in of_kind(template(*WORKERS), "Deployment"):
        volumes = found["spec"]["template"]["spec"]["volumes"]
        assert "certificates" not in {volume["name"] for volume in volumes}
