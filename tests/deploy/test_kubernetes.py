"""The manifests for Kubernetes fit its schemas, lock their containers, and serve a good policy."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kustomized import GATEWAYS, KUBERNETES, Manifest, built, read

from pdp.cli.cases import failing_cases
from pdp.cli.serve import check_exposure
from pdp.runtime.load import load

ROOT = KUBERNETES.parents[1]
SAMPLES = {"nginx": "nginx/nginx.conf", "envoy": "envoy-http/envoy.yaml"}
OLDEST, NEWEST = "1.29", "1.37"  # sidecars that start first came with the former
LOCKED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
gateways = pytest.mark.parametrize("gateway", GATEWAYS)


def one(gateway: str, kind: str) -> Manifest:
    (found,) = (m for m in built(KUBERNETES / gateway) if m["kind"] == kind)
    return found


def pod(gateway: str) -> dict[str, Any]:
    found: dict[str, Any] = one(gateway, "Deployment")["spec"]["template"]["spec"]
    return found


def containers(gateway: str) -> dict[str, dict[str, Any]]:
    spec = pod(gateway)
    return {c["name"]: c for c in (*spec["initContainers"], *spec["containers"])}


@gateways
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_manifest_fits_the_schemas(gateway: str, version: str) -> None:
    manifests = built(KUBERNETES / gateway)
    kinds = {manifest["kind"] for manifest in manifests}
    assert kinds == {
        *("Deployment", "Service", "NetworkPolicy"),
        *("PodDisruptionBudget", "ConfigMap"),
    }
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_mistake_does_not_fit_them() -> None:
    manifest = one("nginx", "Deployment")
    manifest["spec"]["template"]["spec"]["containers"][0]["securityContext"]["runAsRoot"] = False
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, NEWEST, strict=True)


@gateways
def test_no_container_may_more_than_it_needs(gateway: str) -> None:
    spec = pod(gateway)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in containers(gateway).values():
        assert LOCKED.items() <= container["securityContext"].items(), container["name"]
        assert container["resources"]["limits"].keys() == {"memory"}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@gateways
def test_the_pdp_is_there_before_the_gateway_and_after_it(gateway: str) -> None:
    (pdp,) = pod(gateway)["initContainers"]
    assert (pdp["name"], pdp["restartPolicy"]) == ("pdp", "Always")
    probes = {name: pdp[name]["httpGet"]["path"] for name in pdp if name.endswith("Probe")}
    assert probes == {
        "startupProbe": "/readyz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/livez",
    }


@gateways
def test_the_image_knows_which_user_it_runs_as(gateway: str) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER \d+:\d+$", dockerfile, re.MULTILINE), "runAsNonRoot wants a number"
    assert containers(gateway)["gateway"]["securityContext"]["runAsUser"] > 0


@gateways
def test_the_gateways_sample_is_the_one_that_is_tested(gateway: str) -> None:
    sample = ROOT / "deploy" / "gateways" / SAMPLES[gateway]
    assert (KUBERNETES / gateway / sample.name).read_bytes() == sample.read_bytes()
    mounts = containers(gateway)["gateway"]["volumeMounts"]
    places = [m["mountPath"] for m in mounts if m["name"] == "gateway"]
    assert places in ([f"/etc/nginx/{sample.name}"], ["/etc/envoy"])


@gateways
def test_only_the_gateway_is_reached_from_elsewhere(gateway: str) -> None:
    ports = {
        port["name"]: port["containerPort"]
        for container in containers(gateway).values()
        for port in container.get("ports", [])
    }
    assert ports == {"gateway": 8000, "pdp-metrics": 7374}
    assert [port["targetPort"] for port in one(gateway, "Service")["spec"]["ports"]] == ["gateway"]
    network = one(gateway, "NetworkPolicy")["spec"]
    assert network["policyTypes"] == ["Ingress", "Egress"]
    anybody, monitoring = network["ingress"]
    assert anybody == {"ports": [{"port": "gateway"}]}
    assert monitoring["ports"] == [{"port": "pdp-metrics"}]
    assert monitoring["from"]


@gateways
def test_every_selector_selects_the_pod(gateway: str) -> None:
    labels = one(gateway, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels
    selectors = [
        one(gateway, "Deployment")["spec"]["selector"]["matchLabels"],
        one(gateway, "Service")["spec"]["selector"],
        one(gateway, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        one(gateway, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() and selector for selector in selectors)


@gateways
def test_every_volume_is_there_and_read_only_where_it_is_configuration(gateway: str) -> None:
    volumes = {volume["name"]: volume for volume in pod(gateway)["volumes"]}
    maps = {m["metadata"]["name"] for m in built(KUBERNETES / gateway) if m["kind"] == "ConfigMap"}
    assert {v["configMap"]["name"] for v in volumes.values() if "configMap" in v} == maps
    for container in containers(gateway).values():
        for mount in container.get("volumeMounts", []):
            assert ("configMap" not in volumes[mount["name"]]) or mount["readOnly"]


def test_policies_are_swapped_in_place_and_not_rolled_out() -> None:
    (given,) = read(KUBERNETES / "base" / "kustomization.yaml")["configMapGenerator"]
    assert given["options"] == {"disableNameSuffixHash": True}
    mounts = containers("nginx")["pdp"]["volumeMounts"]
    assert [m for m in mounts if m["name"] == "policies" and "subPath" not in m]


def test_the_config_map_holds_a_whole_policy_and_its_cases_hold(tmp_path: Path) -> None:
    (data,) = (
        m["data"]
        for m in built(KUBERNETES / "base")
        if m["kind"] == "ConfigMap" and m["metadata"]["name"] == "policies"
    )
    for name, text in data.items():
        (tmp_path / name).write_text(text)
    shipped = {file.name for file in (KUBERNETES / "base" / "policies").iterdir()}
    assert shipped == data.keys()
    environment = {e["name"]: e["value"] for e in containers("nginx")["pdp"]["env"]}
    loaded = load(tmp_path, None, environment, {})
    assert loaded.server.admin_listen == "0.0.0.0:7374"
    assert loaded.warnings == ()
    check_exposure(loaded)
    assert [*failing_cases(loaded)] == []


@gateways
def test_kustomize_builds_the_same(gateway: str) -> None:
    command = ["kubectl", "kustomize", str(KUBERNETES / gateway)]
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl 1.27 or newer, which is not in Debian")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    if "cannot unmarshal" in done.stderr:
        pytest.skip("needs kubectl 1.27 or newer: this one does not know such patches")
    assert done.returncode == 0, done.stderr
    theirs = {m["kind"]: m for m in yaml.safe_load_all(done.stdout) if m["kind"] != "ConfigMap"}
    for kind, manifest in theirs.items():
        ours = one(gateway, kind)
        if kind == "Deployment":
            for volume in manifest["spec"]["template"]["spec"]["volumes"]:
                if "configMap" in volume:  # the hash of the content
                    volume["configMap"]["name"] = volume["name"]
            named = {"image": "registry.example.com/pdp:0.1.0"}
            ours["spec"]["template"]["spec"]["initContainers"][0].update(named)
        assert manifest == ours
