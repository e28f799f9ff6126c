#!/usr/bin/env python3
"""Send five datagrams past five hooks, and show what a program at each of them has seen.

It runs in a network namespace and a cgroup of its own, and starts a tool for each hook.
"""

import json
import os
import signal
import socket
import subprocess
from contextlib import ExitStack

from tabulate import tabulate

from ebpf_tour.loader.interfaces import enter_own_network
from ebpf_tour.userland.cgroup import OwnCgroup

DATAGRAMS = 5


def send() -> None:
    """Send datagrams of one byte to a socket of this process."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        for _ in range(DATAGRAMS):
            sender.sendto(b"x", receiver.getsockname())
            receiver.recv(1)


enter_own_network()
with ExitStack() as stack:
    cgroup = stack.enter_context(OwnCgroup())
    commands = {
        "XDP": "ebpf-xdp -i lo --interval 3600",
        "socket filter": "ebpf-sockfilter -i lo",
        "tc (ingress)": "ebpf-tc -i lo",
        "netfilter (input)": "ebpf-netfilter --hook input",
        "cgroup (ingress)": f"ebpf-cgroup {cgroup.path} --interval 3600",
    }
    tools = {}
    for hook, command in commands.items():
        tool = tools[hook] = subprocess.Popen(
            [*command.split(), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        stack.enter_context(tool)
        stack.callback(tool.terminate)
        for line in tool.stderr:  # until it is attached
            if line.endswith("Ctrl-C to end.\n"):
                break
        else:
            raise SystemExit(f"{command} does not run here: try it")

    child = os.fork()
    if not child:
        cgroup.enter()  # before there are sockets: each belongs to the cgroup that it is made in
        send()
        os._exit(0)
    os.waitpid(child, 0)

    rows = []
    for hook, tool in tools.items():
        tool.send_signal(signal.SIGINT)
        records = [json.loads(line) for line in tool.communicate()[0].splitlines()]
        seen = [r for r in records if r.get("type") != "summary" and r.get("direction") != "egress"]
        packets = sum(row.get("packets", 1) for row in seen)
        size = sum(row.get("bytes", row.get("length", 0)) for row in seen)
        rows.append([hook, packets, size])
    print(tabulate(rows, ["HOOK", "PACKETS", "BYTES"], tablefmt="plain"))
