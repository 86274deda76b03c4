"""The Dockerfile's steps in a clean folder, without Docker: what it installs starts and is healthy.

    python -m benchmarks.deploy.replay_image

`/opt` and `/data` of the image are folders within the clean one; users and the system's packages are left out.
Printed are the steps with their seconds, and the size of what is installed. Exit code 1 when a step fails or the
health check does not pass.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.deploy.deploy_servers import KEY
from benchmarks.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
BASE = Path(sys.base_prefix) / "bin"


class Image:
    def __init__(self, folder: Path) -> None:
        self.folder, self.work = folder, folder
        self.env = {"PATH": f"{BASE}{os.pathsep}{os.defpath}", "HOME": str(folder)}
        self.env |= {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))
        }
        self.health, self.command = [""], [""]

    def inside(self, text: str) -> str:
        return re.sub(r"(?<![\w.])/(opt|data|build|app)\b", rf"{self.folder}/\1", text)

    def step(self, word: str, rest: str) -> None:
        match word:
            case "FROM":
                self.work = self.folder
            case "ENV":
                for name, value in re.findall(r"(\w+)=(\S+)", rest):
                    self.env[name] = self.inside(value).replace("$PATH", self.env["PATH"])
            case "WORKDIR":
                self.work = Path(self.inside(rest))
                self.work.mkdir(parents=True, exist_ok=True)
            case "COPY" if not rest.startswith("--from"):
                *sources, target = rest.split()
                for source in sources:
                    to = self.work / target / (source if target in (".", "./") else "")
                    copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                    copy(ROOT / source, to)
            case "RUN" if rest.startswith("useradd"):
                (self.folder / "data").mkdir()
            case "RUN":
                subprocess.run(self.inside(rest), shell=True, cwd=self.work, env=self.env, check=True, stdout=-3)
            case "HEALTHCHECK":
                self.health = json.loads(rest[rest.index("CMD") + 3 :])
            case "CMD":
                self.command = json.loads(rest)
            case _:
                pass

    def is_healthy(self) -> bool:
        """Start it, and call the health check until it passes."""
        keys = {"TILORES_API_KEYS": f"bench:{KEY}", "TILORES_ADMIN_KEYS": f"ops:{KEY}", "TILORES_HOST": "127.0.0.1"}
        env = self.env | keys | {"PORT": str(free_port())}
        program = self.inside(f"/opt/tilores/bin/{self.command[0]}")
        server = subprocess.Popen([program, *self.command[1:]], cwd=self.work, env=env, stdout=-3, stderr=-3)
        until = time.monotonic() + START_SECONDS
        try:
            while time.monotonic() < until and server.poll() is None:
                check = [self.inside(f"/opt/tilores/bin/{self.health[0]}"), *self.health[1:]]
                if subprocess.run(check, env=env, check=False, stderr=-3).returncode == 0:
                    return True
                time.sleep(0.5)
            return False
        finally:
            server.terminate()
            server.wait(60)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="tilores-image-")).resolve()
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    try:
        image = Image(folder)
        for line in lines:
            if line and not line.startswith("#"):
                begun = time.perf_counter()
                image.step(*line.split(maxsplit=1))
                print(f"{time.perf_counter() - begun:6.1f} s  {line[:90]}", flush=True)
        size = sum(path.stat().st_size for path in (folder / "opt").rglob("*") if path.is_file())
        healthy = image.is_healthy()
        print(f"installed: {size / 1e6:.0f} MB; {'healthy' if healthy else 'NOT healthy'}")
        sys.exit(0 if healthy else 1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
