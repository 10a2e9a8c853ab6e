/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/cli/process_json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "runtime/oci/spec.h"

static const char *const capability_sets[] = {
	"bounding", "effective", "inheritable", "permitted", "ambient",
};

/* "UID" or "UID:GID", decimal. */
static int parse_user(const char *text, int64_t *uid, int64_t *gid,
		      struct err *err)
{
	unsigned u, g = 0;
	int end = 0;

	if ((sscanf(text, "%u%n", &u, &end) == 1 && !text[end]) ||
	    (sscanf(text, "%u:%u%n", &u, &g, &end) == 2 && !text[end])) {
		*uid = u;
		*gid = g;
		return 0;
	}
	return err_set(err, EINVAL, "--user \"%s\": expected UID or UID:GID",
		       text);
}

static void write_args(struct jsonw *w, const struct cli *cli)
{
	jsonw_key(w, "args");
	jsonw_array(w);
	for (int i = 1; i < cli->argc; i++)
		jsonw_str(w, cli->argv[i]);
	jsonw_end_array(w);
}

static void write_strings(struct jsonw *w, const struct json *array)
{
	for (size_t i = 0; i < json_count(array); i++) {
		const char *text;
		struct err ignored;

		if (!json_as_string(json_at(array, i), &text, &ignored))
			jsonw_str(w, text);
	}
}

static void write_env(struct jsonw *w, const struct json *base,
		      const struct cli *cli)
{
	jsonw_key(w, "env");
	jsonw_array(w);
	write_strings(w, json_get(base, "env"));
	for (size_t i = 0; cli->env && cli->env[i]; i++)
		jsonw_str(w, cli->env[i]);
	jsonw_end_array(w);
}

static void write_capabilities(struct jsonw *w, const struct json *base,
			       const struct cli *cli)
{
	const struct json *sets = json_get(base, "capabilities");

	jsonw_key(w, "capabilities");
	jsonw_object(w);
	for (size_t s = 0; s < ARRAY_SIZE(capability_sets); s++) {
		const char *set = capability_sets[s];

		jsonw_key(w, set);
		jsonw_array(w);
		write_strings(w, json_get(sets, set));
		/* Ambient ones need to be inheritable as well; runc adds to
		 * the rest alone. */
		for (size_t i = 0; strcmp(set, "ambient") &&
				   strcmp(set, "inheritable") && cli->cap[i];
		     i++)
			jsonw_str(w, cli->cap[i]);
		jsonw_end_array(w);
	}
	jsonw_end_object(w);
}

/* What the command line says, as the members of an object. */
static char *overrides(const struct cli *cli, const struct json *base,
		       struct err *err)
{
	struct jsonw *w;
	int64_t uid = 0, gid = 0;
	char *text;

	if (cli->user && parse_user(cli->user, &uid, &gid, err) < 0)
		return NULL;
	w = jsonw_new(false);
	if (!w) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	jsonw_object(w);
	jsonw_kbool(w, "terminal", cli->tty);
	write_args(w, cli);
	write_env(w, base, cli);
	if (cli->cwd)
		jsonw_kstr(w, "cwd", cli->cwd);
	if (cli->no_new_privs)
		jsonw_kbool(w, "noNewPrivileges", true);
	if (cli->cap)
		write_capabilities(w, base, cli);
	if (cli->user) {
		jsonw_key(w, "user");
		jsonw_object(w);
		jsonw_kint(w, "uid", uid);
		jsonw_kint(w, "gid", gid);
		jsonw_end_object(w);
	}
	jsonw_end_object(w);
	text = jsonw_finish(w, NULL);
	if (!text)
		err_set(err, ENOMEM, "out of memory");
	return text;
}

static bool overridden(const struct cli *cli, const char *key)
{
	return !strcmp(key, "terminal") || !strcmp(key, "args") ||
	       !strcmp(key, "env") || (cli->cwd && !strcmp(key, "cwd")) ||
	       (cli->no_new_privs && !strcmp(key, "noNewPrivileges")) ||
	       (cli->cap && !strcmp(key, "capabilities")) ||
	       (cli->user && !strcmp(key, "user"));
}

/* {inherited members, changed members} */
static char *merge(const struct cli *cli, const struct json *base,
		   const char *changes, struct err *err)
{
	char *text = NULL;
	size_t len = 0;
	AUTO_FILE FILE *out = open_memstream(&text, &len);

	if (!out) {
		err_sys(err, "out of memory");
		return NULL;
	}
	fputc('{', out);
	for (size_t i = 0; i < json_count(base); i++) {
		AUTO_FREE char *value = NULL;

		if (overridden(cli, json_key(base, i)))
			continue;
		value = json_text(json_at(base, i));
		if (value)
			fprintf(out, "\"%s\":%s,", json_key(base, i), value);
	}
	fputs(strchr(changes, '{') + 1, out);
	if (fclose(steal_ptr(&out))) {
		free(text);
		err_sys(err, "out of memory");
		return NULL;
	}
	return text;
}

static char *from_bundle(const struct cli *cli, const char *bundle,
			 struct err *err)
{
	AUTO_FREE char *changes = NULL;
	const struct json *base;
	struct json *root;
	char *text = NULL;

	if (cli->argc < 2) {
		err_set(err, EINVAL,
			"exec: expected a COMMAND or --process FILE");
		return NULL;
	}
	root = oci_json_load(bundle, err);
	if (!root)
		return NULL;
	base = json_get(root, "process");
	changes = overrides(cli, base, err);
	if (changes)
		text = merge(cli, base, changes, err);
	json_free(root);
	return text;
}

static char *from_file(const struct cli *cli, struct err *err)
{
	char *text = NULL;
	int ret;

	/* conmon says --tty as well. */
	if (cli->argc > 1 || cli->env || cli->user || cli->cwd || cli->cap ||
	    cli->no_new_privs) {
		err_set(err, EINVAL,
			"exec: --process FILE excludes a COMMAND and the "
			"options that describe one");
		return NULL;
	}
	ret = file_read(AT_FDCWD, cli->process, OCI_SPEC_MAX, &text, NULL);
	if (ret < 0)
		err_ret(err, ret, "--process %s", cli->process);
	return ret < 0 ? NULL : text;
}

char *process_json(const struct cli *cli, const char *bundle, struct err *err)
{
	return cli->process ? from_file(cli, err)
			    : from_bundle(cli, bundle, err);
}
