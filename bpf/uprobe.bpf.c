// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-uprobe, libbpf dialect: a function of a program, as it is called and returns. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "uprobe.h"
#include "lib/filter.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
const volatile int only_pid;			/* this process, 0: all of them */
const volatile __u64 pidns_dev, pidns_ino;	/* its PID namespace */
struct event *unused_event __attribute__((unused));	/* its layout, for Python */
__u64 lost;					/* events that found rb full */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

static __always_inline int send(long value, bool returned)
{
	struct event e = { .time_ns = bpf_ktime_get_ns(), .value = value, .returned = returned };

	if (only_pid && !is_process_of(pidns_dev, pidns_ino, only_pid))
		return 0;
	e.pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	/* Is it the address of text? The helper fails if there is no memory there. */
	e.text_bytes = bpf_probe_read_user_str(&e.text, sizeof(e.text), (void *)value);
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(handle_entry, long argument)	/* at the first instruction */
{
	return send(argument, false);
}

SEC("uretprobe")
int BPF_KRETPROBE(handle_return, long result)	/* where it returns to */
{
	return send(result, true);
}
