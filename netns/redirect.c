/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/redirect.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>
#include <string.h>

#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/act/mirred.h>
#include <netlink/route/action.h>
#include <netlink/route/classifier.h>
#include <netlink/route/cls/u32.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/tc.h>

#include "netns/enter.h"

/* Late, so that filters of others (limits, policies) come first. */
#define OUR_PRIORITY 49000
/* Of a clsact qdisc and of a plain ingress qdisc alike. */
#define INGRESS_PARENT TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)

static struct rtnl_qdisc *ingress_qdisc(int ifindex)
{
	struct rtnl_qdisc *q = rtnl_qdisc_alloc();

	if (!q)
		return NULL;
	rtnl_tc_set_ifindex(TC_CAST(q), ifindex);
	rtnl_tc_set_parent(TC_CAST(q), TC_H_INGRESS);
	rtnl_tc_set_handle(TC_CAST(q), TC_H_MAKE(TC_H_INGRESS, 0));
	if (rtnl_tc_set_kind(TC_CAST(q), "ingress") < 0) {
		rtnl_qdisc_put(q);
		return NULL;
	}
	return q;
}

static int add_qdisc(struct nl_sock *sock, int ifindex)
{
	struct rtnl_qdisc *q = ingress_qdisc(ifindex);
	int r;

	if (!q)
		return -NLE_NOMEM;
	r = rtnl_qdisc_add(sock, q, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_qdisc_put(q);
	/* There is one, perhaps with others' filters: ours joins them. */
	return r == -NLE_EXIST ? 0 : r;
}

static int append_mirred(struct rtnl_cls *cls, int to)
{
	struct rtnl_act *act = rtnl_act_alloc();
	int r;

	if (!act)
		return -NLE_NOMEM;
	r = rtnl_tc_set_kind(TC_CAST(act), "mirred");
	if (r >= 0)
		r = rtnl_mirred_set_action(act, TCA_EGRESS_REDIR);
	if (r >= 0)
		r = rtnl_mirred_set_ifindex(act, (uint32_t)to);
	if (r >= 0)
		r = rtnl_mirred_set_policy(act, TC_ACT_STOLEN);
	if (r >= 0)
		r = rtnl_u32_add_action(cls, act);
	rtnl_act_put(act);
	return r;
}

static struct rtnl_cls *our_filter(int ifindex)
{
	struct rtnl_cls *cls = rtnl_cls_alloc();

	if (!cls)
		return NULL;
	rtnl_tc_set_ifindex(TC_CAST(cls), ifindex);
	rtnl_tc_set_parent(TC_CAST(cls), INGRESS_PARENT);
	rtnl_cls_set_prio(cls, OUR_PRIORITY);
	rtnl_cls_set_protocol(cls, ETH_P_ALL);
	if (rtnl_tc_set_kind(TC_CAST(cls), "u32") < 0) {
		rtnl_cls_put(cls);
		return NULL;
	}
	return cls;
}

static int add_filter(struct nl_sock *sock, int from, int to)
{
	struct rtnl_cls *cls = our_filter(from);
	int r;

	if (!cls)
		return -NLE_NOMEM;
	/* One key whose mask is empty matches everything. */
	r = rtnl_u32_add_key_uint32(cls, 0, 0, 0, 0);
	if (r >= 0)
		r = rtnl_u32_set_cls_terminal(cls);
	if (r >= 0)
		r = append_mirred(cls, to);
	if (r >= 0)
		r = rtnl_cls_add(sock, cls, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_cls_put(cls);
	return r;
}

int redirect_add(struct nl_sock *sock, int from, int to, const char *name,
		 struct err *err)
{
	int r = add_qdisc(sock, from);

	if (r == -NLE_OBJ_NOTFOUND)
		return err_set(err, ENOENT,
			       "%s: ingress qdisc: the kernel lacks "
			       "sch_ingress",
			       name);
	if (r < 0)
		return netns_nl_error(err, r, "%s: ingress qdisc", name);
	r = add_filter(sock, from, to);
	if (r == -NLE_OBJ_NOTFOUND)
		return err_set(err, ENOENT,
			       "%s: redirection: the kernel lacks cls_u32 or "
			       "act_mirred",
			       name);
	if (r < 0)
		return netns_nl_error(err, r, "%s: redirection", name);
	return 0;
}

/* Filters at the ingress of an interface: all of them, and ours. */
static int count_filters(struct nl_sock *sock, int ifindex, unsigned *all,
			 unsigned *ours)
{
	struct nl_cache *cache = NULL;
	int r = rtnl_cls_alloc_cache(sock, ifindex, INGRESS_PARENT, &cache);

	*all = 0;
	*ours = 0;
	if (r < 0)
		return r;
	for (struct nl_object *o = nl_cache_get_first(cache); o;
	     o = nl_cache_get_next(o)) {
		struct rtnl_cls *cls = (struct rtnl_cls *)o;
		const char *kind = rtnl_tc_get_kind(TC_CAST(cls));

		++*all;
		*ours += rtnl_cls_get_prio(cls) == OUR_PRIORITY && kind &&
			 strcmp(kind, "u32") == 0;
	}
	nl_cache_free(cache);
	return 0;
}

static int delete_filter(struct nl_sock *sock, int ifindex)
{
	struct rtnl_cls *cls = our_filter(ifindex);
	int r;

	if (!cls)
		return -NLE_NOMEM;
	r = rtnl_cls_delete(sock, cls, 0);
	rtnl_cls_put(cls);
	return r;
}

static int delete_qdisc(struct nl_sock *sock, int ifindex)
{
	struct rtnl_qdisc *q = ingress_qdisc(ifindex);
	int r;

	if (!q)
		return -NLE_NOMEM;
	r = rtnl_qdisc_delete(sock, q);
	rtnl_qdisc_put(q);
	/* A clsact qdisc in its place is not ours. */
	return r == -NLE_INVAL || r == -NLE_OBJ_NOTFOUND ? 0 : r;
}

int redirect_remove(struct nl_sock *sock, int from, const char *name,
		    struct err *err)
{
	unsigned all;
	unsigned ours;
	int r = count_filters(sock, from, &all, &ours);

	if (r >= 0 && !ours)
		return 0;
	if (r >= 0)
		r = delete_filter(sock, from);
	if (r >= 0)
		r = count_filters(sock, from, &all, &ours);
	if (r >= 0 && !all)
		r = delete_qdisc(sock, from);
	/* The interface itself went meanwhile. */
	if (r == -NLE_NODEV)
		return 0;
	if (r < 0)
		return netns_nl_error(err, r, "%s: removing its redirection",
				      name);
	return 0;
}
