/* Nothing, where ebpf-opensnoop looks: what any two programs cost there. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp/syscalls/sys_enter_openat")
int enter_openat(void *ctx)
{
	return 0;
}

SEC("tp/syscalls/sys_exit_openat")
int exit_openat(void *ctx)
{
	return 0;
}
