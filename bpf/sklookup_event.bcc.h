/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which lookups are ours, and the record for each; BCC dialect: a part of
 * sklookup.bcc.c. The Python side passes these numbers to the compiler:
 *
 *	-Dwanted_address=	the address of --ports: IPv4, in network byte order
 *	-Dfirst_port=, -Dlast_port=	both 0 if there are none
 */

#define AF_INET 2

BPF_ARRAY(lost, u64, 1);	/* records that found the buffer full */

static __always_inline bool is_wanted(struct bpf_sk_lookup *ctx)
{
	return ctx->family == AF_INET && ctx->protocol == IPPROTO_UDP &&
	       ctx->local_ip4 == wanted_address &&
	       ctx->local_port >= first_port && ctx->local_port <= last_port;
}

static __always_inline void load_addresses(struct bpf_sk_lookup *ctx, struct event *e)
{
	u32 *source = (void *)e->source, *destination = (void *)e->destination;

	e->source_port = bpf_ntohs(ctx->remote_port);
	e->destination_port = ctx->local_port;
	if (ctx->family == AF_INET) {
		e->version = 4;
		source[0] = ctx->remote_ip4;
		destination[0] = ctx->local_ip4;
		return;
	}
	e->version = 6;
	for (int i = 0; i < 4; i++) {
		source[i] = ctx->remote_ip6[i];
		destination[i] = ctx->local_ip6[i];
	}
}

static __always_inline void send(struct event *e)
{
	int zero = 0;

	if (rb.ringbuf_output(e, sizeof(*e), 0))
		lost.atomic_increment(zero);
}
