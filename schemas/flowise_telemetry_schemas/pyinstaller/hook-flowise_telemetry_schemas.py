"""Pack the schema files into a frozen app, the modules loaded by name, and the metadata with the version."""

from __future__ import annotations

from PyInstaller.utils.hooks import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
    collect_data_files,
    collect_submodules,
    copy_metadata,
)

datas = collect_data_files("flowise_telemetry_schemas") + copy_metadata("flowise-telemetry")
hiddenimports = collect_submodules("flowise_telemetry_schemas", filter=lambda name: "pyinstaller" not in name)
