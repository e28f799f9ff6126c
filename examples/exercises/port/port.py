#!/usr/bin/env python3
import os
import sys
from ebpf_tour.base.names import address_text
from ebpf_tour.frame import Column, Tool, cli, network
from ebpf_tour.loader.hooks.socket_filter import SocketFilter

FILTER = SocketFilter("handle_packet")

def run(session):
    with session.open(TOOL) as program:
        interface = network.interface(session)
        program.globals["only_port"] = session.args.port
        program.load()
        program.attach()
        program.attach_to(FILTER, interface)
        session.attached(f"Showing datagrams that arrive at {interface}")
        for event in program.events("rb", session):
            session.row({"port": event.port, "source": address_text(4, event.source)})
        session.lost = program.lost()

def options(parser):
    network.add_interface(parser)
    parser.add_argument("--port", type=cli.positive_int, default=53, metavar="PORT",
                        help="only datagrams for this port (default: 53)")

TOOL = Tool(
    "port", summary="show the datagrams for a port", directory=os.path.dirname(__file__),
    via={"socket filter": (FILTER,)},
    columns=(
        Column("port", "PORT", width=5, right=True),
        Column("source", "SOURCE")))

sys.exit(cli.main(TOOL, run, options))
