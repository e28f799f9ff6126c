#include <linux/fs.h>
#include "fexit.h"

BPF_RINGBUF_OUTPUT(rb, 16);
BPF_ARRAY(lost, u64, 1);

/* The prototype is int do_unlinkat(int dfd, struct filename *name). */
KRETFUNC_PROBE(do_unlinkat, int dfd, struct filename *name, int result)
{
	struct event e = { .dfd = dfd, .result = result };
	int first = 0;

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(first);
	return 0;
}
