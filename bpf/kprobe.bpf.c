// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-kprobe, libbpf dialect: each call of unlink, and its return. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

/* Calls in progress: thread -> dfd. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64);
	__type(value, int);
} calls SEC(".maps");

#include "lib/unlink.bpf.h"	/* is_wanted(), send_entry(), send_return() */
#include "kprobe_calls.bpf.h"	/* remember(), recall(): by calls */

/* A breakpoint at the function's beginning. The context is the CPU's registers:
 * BPF_KPROBE() knows which of them hold arguments.
 */
SEC("kprobe/do_unlinkat")
int BPF_KPROBE(enter_unlinkat, int dfd, struct filename *name)
{
	if (!is_wanted())
		return 0;
	remember(dfd);
	return send_entry(dfd, BPF_CORE_READ(name, name));
}

/* At its return the arguments are gone. One register holds the result. */
SEC("kretprobe/do_unlinkat")
int BPF_KRETPROBE(leave_unlinkat, int ret)
{
	int dfd;

	return recall(&dfd) ? send_return(dfd, ret) : 0;
}
