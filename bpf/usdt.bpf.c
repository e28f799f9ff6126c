// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-usdt, libbpf dialect: a place that a program's author marked for tracers. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/usdt.bpf.h>
#include "usdt.h"
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

/* The argument may be in a register or in memory: a note in the program's file says
 * where. BPF_USDT() looks that up in a map and reads it.
 */
SEC("usdt")
int BPF_USDT(handle_probe, long argument)
{
	struct event e = { .time_ns = bpf_ktime_get_ns(), .value = argument };

	if (only_pid && !is_process_of(pidns_dev, pidns_ino, only_pid))
		return 0;
	e.pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	/* Is it the address of text? The helper fails if there is no memory there. */
	e.text_bytes = bpf_probe_read_user_str(&e.text, sizeof(e.text), (void *)argument);
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
