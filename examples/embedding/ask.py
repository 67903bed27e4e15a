"""A program that opens a mesh, starts its services, asks one of them, scales it, and leaves nothing behind.

    python examples/embedding/ask.py [path of a mesh.ini]

Run it at the top of the tree. Without a gateway: the mesh is inside this program for as long as it runs.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from wmesh import api


async def ask(reactor: Any, config: str) -> None:
    mesh = await api.open_mesh(reactor, config)
    print("deployed:", await mesh.deploy_all())

    pricing = mesh.proxy("walmart-pricing")
    for _ in range(4):
        response = await pricing.request("GET", "/api/price/12345", headers={"Accept": "application/json"})
        price = await response.json()
        print(f"{response.status} {price['name']}: {price['price']} (from {response.instance})")

    scaled = await mesh.scale("walmart-pricing", 3)
    print(f"scaled: from {scaled['before']} to {scaled['target']} instances")
    await mesh.stop()
    print("stopped")


def main(reactor: Any, config: str = "examples/embedding/mesh.ini") -> Deferred[None]:
    return Deferred.fromCoroutine(ask(reactor, config))


if __name__ == "__main__":
    react(main, sys.argv[1:])
