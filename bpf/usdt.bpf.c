// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-usdt, libbpf dialect: a place that a program's author marked for tracers. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/usdt.bpf.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

#include "lib/probed.bpf.h"	/* is_wanted(), send() */

/* The argument may be in a register or in memory: a note in the program's file says
 * where. BPF_USDT() looks that up in a map and reads it.
 */
SEC("usdt")
int BPF_USDT(handle_probe, long argument)
{
	return is_wanted() ? send(argument, false) : 0;
}
