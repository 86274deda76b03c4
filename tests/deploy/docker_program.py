#!/usr/bin/env python3
"""Stands in for the docker program: images and containers are in a JSON file beside it.

`fail`, a file beside it, names a command that ends with an error, once.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(sys.argv[0]).parent
STATE = HERE / "state.json"


def main(words: list[str]) -> str:
    state = json.loads(STATE.read_text()) if STATE.exists() else {"images": [], "containers": {}, "calls": []}
    state["calls"].append(words)
    failing = HERE / "fail"
    if failing.exists() and words[0] == failing.read_text():
        failing.unlink()
        STATE.write_text(json.dumps(state))
        raise SystemExit(f"Error response from daemon: {words[0]} is not possible")
    out = run(words, state)
    STATE.write_text(json.dumps(state))
    return out


def run(words: list[str], state: dict[str, Any]) -> str:
    containers, images = state["containers"], state["images"]
    match words:
        case ["build", *rest]:
            assert Path(rest[rest.index("--file") + 1]).is_file()
            images.append(rest[rest.index("--tag") + 1])
        case ["image", "ls", name, *_]:
            rows = [{"Repository": name, "Tag": one.split(":")[1]} for one in images if one.startswith(f"{name}:")]
            return "\n".join(json.dumps(row) for row in rows)
        case ["image", "rm", name]:
            images.remove(name)
        case ["ps", *rest]:
            rows = [
                {
                    "Names": name,
                    "State": one["state"],
                    "Status": one["state"].title(),
                    "Image": one["image"],
                    "Labels": f"a=b,com.docker.compose.service={name.removeprefix('tilores-')}",
                }
                for name, one in containers.items()
                if "--all" in rest or one["state"] == "running"
            ]
            return "\n".join(json.dumps(row) for row in rows)
        case ["create", *rest]:
            names = [rest[i + 1] for i, word in enumerate(rest) if word == "--env"]
            values = {}
            for name in names:
                key, given, value = name.partition("=")
                values[key] = value if given else os.environ[key]
            containers[rest[rest.index("--name") + 1]] = {"state": "created", "image": rest[-1], "env": values}
        case ["start", name]:
            assert {one["state"] for one in containers.values()} <= {"created", "exited"}, "the port is taken"
            containers[name]["state"] = "running"
        case ["stop", *rest]:
            containers[rest[-1]]["state"] = "exited"
        case ["rm", *rest]:
            del containers[rest[-1]]
        case ["logs", *rest]:
            sys.stderr.write(f"log of {rest[-1]}")  # where a server logs
        case ["compose", *_, "config", "--quiet"]:
            pass
        case ["compose", *rest]:
            tag = os.environ["TILORES_TAG"]
            env = {name: value for name, value in os.environ.items() if name.endswith("_KEYS")}
            chosen = [rest[-1]] if "--no-deps" in rest else ["web-1", "web-2"]
            for service in chosen:
                containers[f"tilores-{service}"] = {"state": "running", "image": f"tilores:{tag}", "env": env}
            state["folder"] = str(Path.cwd())
        case ["version"]:
            return "Version: 0"
        case _:
            raise SystemExit(f"unknown command {words}")
    return ""


if __name__ == "__main__":
    print(main(sys.argv[1:]))
