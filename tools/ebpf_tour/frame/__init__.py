"""What every command line has. A tool needs the names that are here."""

from ebpf_tour.frame import cli
from ebpf_tour.frame.demo import Demo
from ebpf_tour.frame.record import Column, Command, Counter, Example, Flow, Map, Row, Tool
from ebpf_tour.frame.session import Session

__all__ = [
    "Column",
    "Command",
    "Counter",
    "Demo",
    "Example",
    "Flow",
    "Map",
    "Row",
    "Session",
    "Tool",
    "cli",
]
