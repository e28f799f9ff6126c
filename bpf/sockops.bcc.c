// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-sockops, BCC dialect: let the processes of a cgroup talk past TCP. */
#include <uapi/linux/bpf.h>
#include "sockops.h"

/* -Dsockets_max_entries= is how many it holds; --entries changes it. Who reads a value
 * gets a socket's cookie.
 */
BPF_SOCKHASH(sockets, struct end, sockets_max_entries);

#include "sockops_count.bcc.h"	/* set_end(), begin(), count(), send_record() */

/* The kernel calls it when something happens to a TCP socket of the cgroup. */
int follow_socket(struct bpf_sock_ops *ctx)
{
	struct end own = {};
	long error;

	if (ctx->family != AF_INET)
		return 0;	/* only IPv4 goes past TCP */
	set_end(&own, bpf_get_netns_cookie(ctx), ctx->local_ip4, ctx->remote_ip4,
		ctx->local_port, bpf_ntohl(ctx->remote_port));
	if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ||
	    ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		error = sockets.sock_hash_update(ctx, &own, BPF_ANY);
		begin(ctx, &own, error);
	} else if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == BPF_TCP_CLOSE) {
		send_record(ctx, &own);
	}
	return 0;
}

/* A socket in the map sends. If the other end is there, too, it gets the message. */
int pass_message(struct sk_msg_md *msg)
{
	u64 network = bpf_get_netns_cookie(msg);
	struct end own = {}, other = {};

	set_end(&own, network, msg->local_ip4, msg->remote_ip4,
		msg->local_port, bpf_ntohl(msg->remote_port));
	set_end(&other, network, msg->remote_ip4, msg->local_ip4,
		bpf_ntohl(msg->remote_port), msg->local_port);
	if (sockets.msg_redirect_hash(msg, &other, BPF_F_INGRESS) == SK_PASS)
		count(&own, msg->size);
	return SK_PASS;	/* if it is not there, TCP takes the message */
}
