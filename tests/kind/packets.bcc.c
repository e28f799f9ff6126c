// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause

BPF_ARRAY(packets, u64, 1);
BPF_ARRAY(others, u64, 1);

int count_packet(void *ctx)
{
	packets.atomic_increment(0);
	return 2;	/* XDP_PASS */
}

int count_other(void *ctx)
{
	others.atomic_increment(0);
	return 2;
}
