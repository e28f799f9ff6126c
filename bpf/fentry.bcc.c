// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-fentry, BCC dialect: each call of unlink, and its return. */
#include <linux/fs.h>

/* -Drb_max_entries= is its size in bytes; --buffer changes it. */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

#include "lib/unlink.bcc.h"	/* is_wanted(), send_entry(), send_return() */

/* A direct call at the function's beginning; kfunc is BCC's older name for fentry. The
 * arguments have types, from the kernel's BTF, so the program may follow a pointer
 * as C does.
 */
KFUNC_PROBE(do_unlinkat, int dfd, struct filename *name)
{
	return is_wanted() ? send_entry(dfd, name->name) : 0;
}

/* At its return the arguments are still there, and after them the result. */
KRETFUNC_PROBE(do_unlinkat, int dfd, struct filename *name, int ret)
{
	return is_wanted() ? send_return(dfd, ret) : 0;
}
