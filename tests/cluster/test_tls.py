"""Over TLS: who has a certificate of the cluster's authority gets in, and nobody else."""

from __future__ import annotations

import ssl
import sys

import dask
import pytest
import trustme
from distributed import Client

from helpers.children import study
from helpers.dask_cluster import Cluster
from lottery.files import UserError

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals"),
]


def issued(folder, name: str, authority: trustme.CA) -> dict[str, str]:
    """A certificate of `authority`, as Dask's configuration asks for it."""
    certificate, folder = authority.issue_cert("127.0.0.1"), folder / name
    folder.mkdir()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    return {kind: str(folder / f"{kind}.pem") for kind in ("ca", "cert", "key")}


def configuration(files: dict[str, str]) -> dict[str, object]:
    found = {"distributed.comm.tls.ca-file": files["ca"]}
    for role in ("client", "scheduler", "worker"):
        found[f"distributed.comm.tls.{role}.cert"] = files["cert"]
        found[f"distributed.comm.tls.{role}.key"] = files["key"]
    return found | {"distributed.comm.require-encryption": True}


def environment(settings: dict[str, object]) -> dict[str, str]:
    """The same for a process begun elsewhere."""
    return {
        f"DASK_{name.replace('.', '__').replace('-', '_').upper()}": str(value)
        for name, value in settings.items()
    }


def test_only_who_has_a_certificate_is_let_in(tmp_path):
    authority = trustme.CA()
    ours = configuration(issued(tmp_path, "ours", authority))
    strangers = configuration(issued(tmp_path, "strangers", trustme.CA()))
    one = Cluster(tmp_path / "cluster", protocol="tls", **environment(ours))
    try:
        one.add("--protocol", "tls", **environment(ours))
        address = one.address
        assert address.startswith("tls://")
        with dask.config.set(ours):
            with Client(address) as client:
                client.wait_for_workers(1, timeout=180)
                (worker,) = client.scheduler_info(n_workers=-1)["workers"]
            assert worker.startswith("tls://")
            assert len(study(tmp_path / "demo", client=address).run()) == 3
        for place in (address, worker):
            plain = place.replace("tls://", "tcp://")
            for settings, where in (({}, place), ({}, plain), (strangers, place)):
                soon = settings | {"distributed.comm.timeouts.connect": "3s"}
                with dask.config.set(soon), pytest.raises(UserError) as refused:
                    study(tmp_path / "none", client=where).run()
                assert "no Dask scheduler answers" in str(refused.value)
        # Not even the handshake is granted without a certificate.
        host, port = worker.removeprefix("tls://").split(":")
        blank = ssl.create_default_context(cafile=ours["distributed.comm.tls.ca-file"])
        with pytest.raises((ssl.SSLError, ConnectionError)):
            _talk(host, int(port), blank)
    finally:
        one.close()


def _talk(host: str, port: int, context: ssl.SSLContext) -> bytes:
    import socket

    with (
        socket.create_connection((host, port), timeout=20) as raw,
        context.wrap_socket(raw, server_hostname=host) as line,
    ):
        line.sendall(b"\0" * 16)
        received = line.recv(1)
        if not received:
            raise ConnectionError("closed")
        return received
