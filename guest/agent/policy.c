/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/policy.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

#define SERVICE "grpc.AgentService"

static int allow(const char *name, const struct ttrpc_method *methods,
		 uint64_t *bits, struct err *err)
{
	for (unsigned i = 0; methods[i].service; i++) {
		if (strcmp(methods[i].service, SERVICE) != 0 ||
		    strcmp(methods[i].name, name) != 0)
			continue;
		if (i >= POLICY_METHODS_MAX)
			BUG("more methods than bits");
		*bits |= UINT64_C(1) << i;
		return 0;
	}
	return err_set(err, EINVAL, "policy: allow: no method %.64s", name);
}

static int parse_allow(const struct json *root,
		       const struct ttrpc_method *methods, uint64_t *bits,
		       struct err *err)
{
	AUTO_FREE const char **names = NULL;
	size_t n = 0;
	int ret;

	if (!json_get(root, "allow"))
		return err_set(err, EINVAL, "policy: allow: missing");
	ret = json_strings_opt(root, "allow", &names, &n, err);
	for (size_t i = 0; i < n && !ret; i++)
		ret = allow(names[i], methods, bits, err);
	return ret;
}

static int check_keys(const struct json *object, const char *const *known,
		      struct err *err)
{
	for (size_t i = 0; i < json_count(object); i++) {
		const char *key = json_key(object, i);
		size_t k = 0;

		while (known[k] && strcmp(known[k], key) != 0)
			k++;
		if (!known[k])
			return json_fail(json_at(object, i), err,
					 "unknown member");
	}
	return 0;
}

static int parse_limits(const struct json *root, struct policy *p,
			struct err *err)
{
	static const char *const known[] = {"containers", "execs",
					    "copy_file_bytes", NULL};
	const struct json *limits = NULL;
	int ret = json_object_opt(root, "limits", &limits, err);

	if (ret < 0 || !limits)
		return ret;
	ret = check_keys(limits, known, err);
	if (!ret)
		ret = json_u64_opt(limits, "containers", &p->containers, err);
	if (!ret)
		ret = json_u64_opt(limits, "execs", &p->execs, err);
	if (!ret)
		ret = json_u64_opt(limits, "copy_file_bytes",
				   &p->copy_file_bytes, err);
	return ret;
}

int policy_parse(const char *text, const struct ttrpc_method *methods,
		 struct policy *out, struct err *err)
{
	static const char *const known[] = {"allow", "limits", NULL};
	AUTO(json_cleanup) struct json *root = NULL;
	size_t len = strlen(text);
	int ret;

	*out = (struct policy){
		.set = true,
		.containers = POLICY_NO_LIMIT,
		.execs = POLICY_NO_LIMIT,
		.copy_file_bytes = POLICY_NO_LIMIT,
	};
	if (len > POLICY_TEXT_MAX)
		return err_set(err, EINVAL, "policy: more than %u bytes",
			       POLICY_TEXT_MAX);
	if (text[strspn(text, " \t\r\n")] != '{')
		return err_set(err, ENOTSUP,
			       "policy: not a JSON object; this agent has no "
			       "Rego engine");
	root = json_parse(text, len, "policy", 0, err);
	if (!root)
		return -err->code;
	ret = check_keys(root, known, err);
	if (!ret)
		ret = parse_allow(root, methods, &out->allowed, err);
	return ret < 0 ? ret : parse_limits(root, out, err);
}

int policy_replace(struct policy *p, const struct policy *next, struct err *err)
{
	if (p->set &&
	    ((next->allowed & ~p->allowed) ||
	     next->containers > p->containers || next->execs > p->execs ||
	     next->copy_file_bytes > p->copy_file_bytes))
		return err_set(err, EPERM,
			       "policy: allows more than the one that is set");
	*p = *next;
	return 0;
}

bool policy_allows(const struct policy *p, const struct ttrpc_method *methods,
		   const struct ttrpc_method *method)
{
	unsigned i = (unsigned)(method - methods);

	if (!p->set || strcmp(method->service, SERVICE) != 0)
		return true;
	return i < POLICY_METHODS_MAX && (p->allowed >> i & 1);
}
