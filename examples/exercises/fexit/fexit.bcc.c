#include <linux/fs.h>
#include "fexit.h"

BPF_RINGBUF_OUTPUT(rb, 16);
BPF_ARRAY(lost, u64, 1);

/* The prototype is int do_unlinkat(int dfd, struct filename *name). */
KRETFUNC_PROBE(do_unlinkat, int dfd, struct filename *name)
{
	struct event e = { .dfd = dfd };
	int first = 0;

	/* TODO: take the result of the function, and set e.result */

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(first);
	return 0;
}
