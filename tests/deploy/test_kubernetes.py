"""The Kubernetes manifests: Kubernetes takes them, and each names what there is."""

from __future__ import annotations

import os
import subprocess
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency

from flowise_telemetry_consumer.monitoring.health import MAX_POLL_AGE_SECONDS
from flowise_telemetry_consumer.service.settings import DEFAULT_GROUP
from flowise_telemetry_transport.topics import EVENTS_TOPIC
from tests.deploy.command_line import check_command_line, check_names, names_of
from tests.deploy.manifests import (
    FOLDER,
    ROOT,
    WITH_PODS,
    Manifest,
    Workload,
    kustomizations,
    manifests_of,
    workloads,
)

PARTS = sorted(set(kustomizations()) - {"example"})
OLDEST = "1.30"
"""The first that knows all of it: a sleep before the end of a pod."""

OPERATORS = {"ScaledObject", "PodMonitor", "PrometheusRule"}
"""Kinds that are no part of Kubernetes."""

CONNECTION = dict(literal.split("=", 1) for literal in kustomizations()["example"]["configMapGenerator"][0]["literals"])
WORKLOADS = [pytest.param(workload, id=workload.name) for workload in workloads()]
SERVING = [pytest.param(workload, id=workload.name) for workload in workloads() if "ports" in workload.container]


def everything() -> list[Manifest]:
    return [manifest for folder in PARTS for manifest in manifests_of(folder)]


def validate(manifest: Manifest, version: str) -> None:
    import kubernetes_validate  # takes most of a second, which every worker would wait for

    known = kubernetes_validate.latest_version() if version == "newest" else version
    kubernetes_validate.validate(manifest, known, strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("version", [OLDEST, "newest"])
def test_kubernetes_takes_them(version: str) -> None:
    for manifest in everything():
        if manifest["kind"] not in OPERATORS:
            validate(manifest, version)


def test_kustomizations_name_every_file_and_do_nothing_else() -> None:
    for folder in PARTS:
        kustomization = kustomizations()[folder]
        assert set(kustomization) - {"patches"} == {"apiVersion", "kind", "resources"}, folder
        assert ("patches" in kustomization) == (kustomization["kind"] == "Component"), folder
        files = {file.name for file in (FOLDER / folder).glob("*.yaml")}
        assert set(kustomization["resources"]) | {"kustomization.yaml"} == files
    assert {(FOLDER / "example" / name).resolve().name for name in kustomizations()["example"]["resources"]} < set(
        PARTS
    )


def test_names_are_there_once() -> None:
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in everything()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_command_takes_options_and_variables(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = workload.variables
    if "completions" in workload.manifest["spec"]:
        variables["JOB_COMPLETION_INDEX"] = "0"
    check_command_line(workload.container["args"], variables, monkeypatch)


def test_what_all_containers_are_given_is_read_by_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    check_names(CONNECTION, [names_of(workload.container["args"]) for workload in workloads()])
    check_command_line(["consume"], CONNECTION, monkeypatch)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_pods_have_no_rights_and_write_to_volumes_only(workload: Workload) -> None:
    pod, container = workload.pod["spec"], workload.container
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"memory"} == set(container["resources"]["limits"])
    assert {"cpu", "memory"} == set(container["resources"]["requests"])
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    claims = workload.manifest["spec"].get("volumeClaimTemplates", ())
    assert set(mounts) == {each["name"] for each in pod["volumes"]} | {each["metadata"]["name"] for each in claims}
    for name, text in {**CONNECTION, **workload.variables}.items():
        if text.startswith("/"):
            assert any(PurePosixPath(text).is_relative_to(mount) for mount in mounts.values()), name


@pytest.mark.parametrize("workload", WORKLOADS)
def test_secrets_are_referred_to(workload: Workload) -> None:
    for name in {**CONNECTION, **workload.variables}:
        assert not name.endswith(("PASSWORD", "SECRET", "KEYS")), "its value would stand in a manifest"
    assert "Secret" not in {manifest["kind"] for manifest in everything()}


@pytest.mark.parametrize("workload", SERVING)
def test_probes_leave_the_process_its_own_bounds(workload: Workload) -> None:
    container = workload.container
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    (address,) = (text for name, text in workload.variables.items() if name.endswith("_ADDRESS"))
    paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for kind, path in paths.items():
        probe = container[kind]
        assert probe["httpGet"] == {"path": path, "port": "http"}
        assert address == f"0.0.0.0:{ports['http']}"

    def seconds(kind: str) -> int:
        return int(container[kind]["periodSeconds"]) * int(container[kind]["failureThreshold"])

    assert seconds("startupProbe") >= MAX_POLL_AGE_SECONDS
    assert seconds("livenessProbe") >= 30, "an answer that is late once or twice restarts nothing"
    stop = import_module(f"flowise_telemetry_cli.commands.{container['args'][0]}")._STOP_SECONDS
    before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert workload.pod["spec"]["terminationGracePeriodSeconds"] >= before + stop + 5


def selects(selector: Manifest, labels: Any) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(rule["key"]) in rule["values"] for rule in selector.get("matchExpressions", ())
    )


def selectors() -> list[tuple[str, Manifest]]:
    found = []
    for manifest in everything():
        spec, kind = manifest["spec"], manifest["kind"]
        for name in ("selector", "podSelector"):
            if name in spec:
                selector = spec[name] if kind != "Service" else {"matchLabels": spec[name]}
                found.append((f"{kind}/{manifest['metadata']['name']}", selector))
        spread = spec.get("template", {}).get("spec", {}).get("topologySpreadConstraints", ())
        found.extend((f"spread of {manifest['metadata']['name']}", each["labelSelector"]) for each in spread)
    return found


def test_selectors_find_pods() -> None:
    there = [workload.labels for workload in workloads()]
    for name, selector in selectors():
        assert any(selects(selector, labels) for labels in there), name
        own = [workload for workload in workloads() if workload.name == name]
        assert all(selects(selector, workload.labels) for workload in own), name


def test_every_pod_has_a_network_policy() -> None:
    policies = [manifest["spec"] for manifest in everything() if manifest["kind"] == "NetworkPolicy"]
    for workload in workloads():
        (policy,) = [spec for spec in policies if selects(spec["podSelector"], workload.labels)]
        assert policy["policyTypes"] == ["Ingress", "Egress"], workload.name


def test_the_ingress_shows_the_ways_in_and_nothing_else() -> None:
    (ingress,) = (manifest for manifest in manifests_of("gateway") if manifest["kind"] == "Ingress")
    (service,) = (manifest for manifest in manifests_of("gateway") if manifest["kind"] == "Service")
    (rule,) = ingress["spec"]["rules"]
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
    shown = {path["path"] for path in rule["http"]["paths"]}
    from flowise_telemetry_gateway.serving.app import POSTHOG_PATHS
    from flowise_telemetry_transport.gateway.wire import RECORDS_PATH

    assert shown == {RECORDS_PATH, *(path.rstrip("/") for path in POSTHOG_PATHS)}
    for path in rule["http"]["paths"]:
        backend = path["backend"]["service"]
        assert backend == {"name": service["metadata"]["name"], "port": {"name": service["spec"]["ports"][0]["name"]}}


def test_the_spool_is_smaller_than_its_volume() -> None:
    (gateway,) = (workload for workload in workloads() if workload.manifest["kind"] == "StatefulSet")
    (claim,) = gateway.manifest["spec"]["volumeClaimTemplates"]
    size = claim["spec"]["resources"]["requests"]["storage"]
    assert size.endswith("Gi")
    assert int(gateway.variables["FLOWISE_TELEMETRY_GATEWAY_SPOOL_MAX_BYTES"]) < int(size.removesuffix("Gi")) * 2**30
    policy = gateway.manifest["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert policy == {"whenDeleted": "Retain", "whenScaled": "Retain"}, "accepted events are in there"


def test_there_are_never_more_consumers_than_partitions() -> None:
    (scaled,) = manifests_of("autoscaling")
    (topics,) = manifests_of("topics")
    arguments = Workload(topics).container["args"]
    partitions = int(arguments[arguments.index("--partitions") + 1])
    assert scaled["spec"]["maxReplicaCount"] == partitions
    (trigger,) = scaled["spec"]["triggers"]
    wanted = {"consumerGroup": DEFAULT_GROUP, "topic": EVENTS_TOPIC, "allowIdleConsumers": "false"}
    assert wanted.items() <= trigger["metadata"].items()
    assert trigger["metadata"]["bootstrapServersFromEnv"] in CONNECTION
    (consumer,) = (workload for workload in workloads() if workload.manifest["kind"] == "Deployment")
    assert scaled["spec"]["scaleTargetRef"] == {"name": consumer.manifest["metadata"]["name"]}
    assert consumer.manifest["spec"]["replicas"] <= partitions
    assert consumer.manifest["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0, "a surplus pod is never ready"


def test_prometheus_operator_gets_the_one_set_of_alerts() -> None:
    monitor, rules = manifests_of("monitoring")
    alerts = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text("utf-8"))
    assert rules["spec"] == alerts, "run make generate"
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    scraped = [workload for workload in workloads() if selects(monitor["spec"]["selector"], workload.labels)]
    assert len(scraped) == 2
    for workload in scraped:
        assert endpoint["port"] in {port["name"] for port in workload.container["ports"]}


def rendered(folder: Path) -> list[Manifest]:
    """Return what the real kustomize makes of a folder."""
    done = subprocess.run(
        [os.environ["KUSTOMIZE"], "build", str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


def test_what_kustomize_renders_is_taken_too(tmp_path: Path) -> None:
    """With a real kustomize (``make test-deploy``); patches and generated names are its work alone."""
    if "KUSTOMIZE" not in os.environ:
        assert kustomizations()["example"]["namespace"], "no kustomize was named: loaded as YAML"
        return
    for folder in PARTS:
        if kustomizations()[folder]["kind"] == "Kustomization":
            assert sorted(rendered(FOLDER / folder), key=str) == sorted(manifests_of(folder), key=str)
    made = rendered(FOLDER / "example")
    for manifest in made:
        assert manifest["metadata"]["namespace"] == "telemetry"
        if manifest["kind"] not in OPERATORS:
            validate(manifest, "newest")
    (config,) = (manifest["metadata"]["name"] for manifest in made if manifest["kind"] == "ConfigMap")
    containers = [Workload(manifest).container for manifest in made if manifest["kind"] in WITH_PODS]
    assert {each["envFrom"][0]["configMapRef"]["name"] for each in containers} == {config}
    assert all(each["image"].startswith("registry.example.org/flowise-telemetry:") for each in containers)

    def above(folder: str) -> str:
        return os.path.relpath(FOLDER / folder, tmp_path.resolve())

    scaled = {"resources": [above("consumer")], "components": [above("autoscaling")]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(scaled), "utf-8")
    kinds = {manifest["kind"]: manifest for manifest in rendered(tmp_path)}
    assert "ScaledObject" in kinds
    assert "replicas" not in kinds["Deployment"]["spec"], "they are KEDA's"
