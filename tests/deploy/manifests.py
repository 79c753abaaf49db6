"""The Kubernetes manifests as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency

__all__ = ["FOLDER", "ROOT", "WITH_PODS", "Manifest", "Workload", "kustomizations", "manifests_of", "workloads"]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
WITH_PODS = ("Deployment", "StatefulSet", "Job")

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Workload:
    """What runs pods, with the parts that tests ask for."""

    manifest: Manifest

    @property
    def name(self) -> str:
        """Name, for the messages of tests."""
        return f"{self.manifest['kind']}/{self.manifest['metadata']['name']}"

    @property
    def pod(self) -> Manifest:
        """The pod's template."""
        found: Manifest = self.manifest["spec"]["template"]
        return found

    @property
    def container(self) -> Manifest:
        """The one container."""
        (found,) = self.pod["spec"]["containers"]
        return dict(found)

    @property
    def variables(self) -> dict[str, str]:
        """The environment that is in the manifest itself."""
        return {each["name"]: each["value"] for each in self.container.get("env", ())}

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its pods."""
        found: Mapping[str, str] = self.pod["metadata"]["labels"]
        return found


@cache
def kustomizations() -> dict[str, Manifest]:
    """Return each kustomization by the name of its folder."""
    return {file.parent.name: yaml.safe_load(file.read_text("utf-8")) for file in FOLDER.glob("*/kustomization.yaml")}


@cache
def manifests_of(folder: str) -> list[Manifest]:
    """Return what a folder without patches is rendered to: its files, one after the other."""
    files = [FOLDER / folder / name for name in kustomizations()[folder]["resources"]]
    return [manifest for file in files for manifest in yaml.safe_load_all(file.read_text("utf-8"))]


@cache
def workloads() -> list[Workload]:
    """Return all that runs pods."""
    return [
        Workload(manifest)
        for folder in sorted(kustomizations())
        if folder != "example"
        for manifest in manifests_of(folder)
        if manifest["kind"] in WITH_PODS
    ]
