"""Who may change the mesh, and whose word about clients is believed."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.scenarios.meshes import grocery, static
from tests.scenarios.stage import Stage

SCALE = "/services/walmart-pricing/scale"
TRUST = {"gateway": {"trusted_proxies": "127.0.0.1"}}


@pytest_twisted.ensureDeferred
async def test_operations_through_a_trusted_proxy(stage: Stage) -> None:
    """Behind a proxy on the same machine every request comes from loopback; who may operate is told by the whole
    chain that the proxy names, of which every member must be local. Looking is free."""
    mesh = grocery("walmart-pricing", changes=TRUST)
    program = await stage.gateway(mesh.text)
    two = {"instances": 2}
    for port in (mesh.port, mesh.admin):
        client = stage.client(port)
        for chain in ("203.0.113.9", "203.0.113.9, 127.0.0.1", "127.0.0.1, 203.0.113.9", "2001:db8::7", "unknown"):
            answer = await client.post(SCALE, two, X_Forwarded_For=chain)
            assert (answer.status, answer.json["error"]) == (403, "forbidden"), (chain, answer)
        assert (await client.get("/status", X_Forwarded_For="203.0.113.9")).status == 200
        page = await client.post(SCALE, two, Origin="https://shop.example")
        assert page.status == 403, page
        form = await client.post(SCALE, two, Content_Type="application/x-www-form-urlencoded")
        assert form.status == 415, form
    assert len(program.family()) == 2
    assert (await stage.client(mesh.port).post(SCALE, two, X_Forwarded_For="127.0.0.1")).status == 202


@pytest.mark.parametrize("trusted", [True, False])
@pytest_twisted.ensureDeferred
async def test_what_instances_are_told(stage: Stage, trusted: bool) -> None:
    """The claims of a trusted proxy are handed on, with the proxy added; anybody else's are replaced by the truth."""
    ours = stage.instance("ours")
    mesh = static([ours.address], changes=TRUST if trusted else None)
    await stage.gateway(mesh.text)
    answer = await stage.client(mesh.port).get(
        "/", X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https", X_Forwarded_Host="shop.example"
    )
    told = answer.json["headers"]
    assert told["x-forwarded-for"] == ("203.0.113.9, 127.0.0.1" if trusted else "127.0.0.1")
    assert told["x-forwarded-proto"] == ("https" if trusted else "http")
    assert told["x-forwarded-host"] == ("shop.example" if trusted else f"127.0.0.1:{mesh.port}")
    assert told["via"] == "1.1 wmesh"
    assert told["x-request-id"] == answer.headers["x-request-id"]
