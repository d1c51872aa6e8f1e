"""Builds the connector's jar into the package before the wheel is made, so that `pip install .` gives both halves."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class JarBuildHook(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        subprocess.run([str(Path(self.root, "scripts", "build-jar"))], cwd=self.root, check=True)
