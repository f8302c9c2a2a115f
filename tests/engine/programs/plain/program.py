"""Behaves as its configuration says: succeeds, raises, exits or waits."""

import sys
import threading
from pathlib import Path

import pulumi


class Room(pulumi.ComponentResource):
    def __init__(self, name: str) -> None:
        super().__init__("plain:index:Room", name)
        self.register_outputs({"name": name})


config = pulumi.Config()
print("hello from the program")
Room("kitchen")
pulumi.export("greeting", f"hello {config.require('who')}")
pulumi.export("token", config.require_secret("token"))
pulumi.export("stack", f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}")
pulumi.export("python", sys.executable)

match config.get("ending"):
    case "raise":
        raise ValueError("the kitchen is on fire")
    case "exit":
        sys.exit(7)
    case "wait":
        Path("waiting").touch()
        threading.Event().wait()
    case _:
        pass
