// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-fentry, libbpf dialect: each call of unlink, and its return. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

#include "lib/unlink.bpf.h"	/* is_wanted(), send_entry(), send_return() */

/* A direct call at the function's beginning. The arguments have types, from the
 * kernel's BTF, so the program may follow a pointer as C does.
 */
SEC("fentry/do_unlinkat")
int BPF_PROG(enter_unlinkat, int dfd, struct filename *name)
{
	return is_wanted() ? send_entry(dfd, name->name) : 0;
}

/* At its return the arguments are still there, and after them the result. */
SEC("fexit/do_unlinkat")
int BPF_PROG(leave_unlinkat, int dfd, struct filename *name, int ret)
{
	return is_wanted() ? send_return(dfd, ret) : 0;
}
