"""ebpf-tour: eBPF by example, one small tool for each hook and map type."""

__version__ = "0.2.0"
