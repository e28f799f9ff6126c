"""ebpf-tour compare: what each way to see an event costs, and whether all see the same."""
