/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/number.h"

const char vmm_options_usage[] =
	"usage: nacre-vmm --kernel PATH [OPTION]...\n"
	"  --kernel PATH             ELF with a PVH note, or bzImage\n"
	"  --initramfs PATH\n"
	"  --cmdline TEXT            kernel parameters\n"
	"  --cpus boot=N             default 1\n"
	"  --memory size=SIZE[,thp=on|off]      with K, M or G; transparent\n"
	"                            huge pages; default 512M, on\n"
	"  --serial tty|off          output of the 16550; default off\n"
	"  --console tty|off         output of virtio-console; default tty\n"
	"  --rng [src=/dev/urandom]\n"
	"  --vsock cid=N,socket=PATH\n"
	"  --disk path=PATH[,readonly=on|off]   raw image\n"
	"  --net tap=NAME[,mac=MAC]\n"
	"  -v                        more log lines\n"
	"  --help, --version\n";

/* One value: "key=value,key=value". take() gets each pair. */
struct field {
	const char *key;
	int (*take)(struct vmm_options *o, char *value);
};

static int take_switch(const char *value, bool *out)
{
	if (strcmp(value, "on") == 0 || strcmp(value, "true") == 0)
		*out = true;
	else if (strcmp(value, "off") == 0 || strcmp(value, "false") == 0)
		*out = false;
	else
		return -EINVAL;
	return 0;
}

static int take_boot(struct vmm_options *o, char *value)
{
	uint64_t n;

	if (number_parse(value, UINT32_MAX, &n) < 0)
		return -EINVAL;
	o->cpus = (unsigned)n;
	return 0;
}

static int take_size(struct vmm_options *o, char *value)
{
	static const char units[] = "KMG";
	size_t len = strlen(value);
	const char *unit = len ? strchr(units, value[len - 1]) : NULL;
	unsigned shift = 0;
	uint64_t n;

	if (unit && *unit) {
		shift = 10 * ((unsigned)(unit - units) + 1);
		value[len - 1] = '\0';
	}
	if (number_parse(value, UINT64_MAX >> shift, &n) < 0)
		return -EINVAL;
	o->memory = n << shift;
	return 0;
}

static int take_thp(struct vmm_options *o, char *value)
{
	return take_switch(value, &o->thp);
}

static int take_cid(struct vmm_options *o, char *value)
{
	uint64_t n;

	if (number_parse(value, UINT32_MAX - 1, &n) < 0 || n < 3)
		return -EINVAL;
	o->vsock_cid = (uint32_t)n;
	return 0;
}

static int take_socket(struct vmm_options *o, char *value)
{
	o->vsock_socket = value;
	return 0;
}

/* The rng device asks the kernel, which is what this file does. */
static int take_src(struct vmm_options *o, char *value)
{
	return strcmp(value, "/dev/urandom") == 0 ? 0 : -EINVAL;
}

static int take_path(struct vmm_options *o, char *value)
{
	o->disks[o->ndisks - 1].path = value;
	return 0;
}

static int take_readonly(struct vmm_options *o, char *value)
{
	return take_switch(value, &o->disks[o->ndisks - 1].readonly);
}

static int take_tap(struct vmm_options *o, char *value)
{
	o->nets[o->nnets - 1].tap = value;
	return 0;
}

static int take_mac(struct vmm_options *o, char *value)
{
	uint8_t *mac = o->nets[o->nnets - 1].mac;
	int end = 0;

	if (sscanf(value, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0],
		   &mac[1], &mac[2], &mac[3], &mac[4], &mac[5], &end) != 6 ||
	    value[end] != '\0' || (mac[0] & 1))
		return -EINVAL;
	return 0;
}

static const struct field cpus_fields[] = {{"boot", take_boot}, {0}};
static const struct field memory_fields[] = {
	{"size", take_size}, {"thp", take_thp}, {0}};
static const struct field rng_fields[] = {{"src", take_src}, {0}};
static const struct field vsock_fields[] = {
	{"cid", take_cid}, {"socket", take_socket}, {0}};
static const struct field disk_fields[] = {
	{"path", take_path}, {"readonly", take_readonly}, {0}};
static const struct field net_fields[] = {
	{"tap", take_tap}, {"mac", take_mac}, {0}};

static int take_fields(struct vmm_options *o, const char *option,
		       const struct field *fields, char *value, struct err *err)
{
	char *rest = value, *pair;
	const struct field *f;

	while ((pair = strsep(&rest, ",")) != NULL) {
		char *text = strchr(pair, '=');

		if (!text)
			return err_set(err, EINVAL,
				       "%s: \"%s\" is not key=value", option,
				       pair);
		*text++ = '\0';
		for (f = fields; f->key && strcmp(f->key, pair) != 0; f++)
			;
		if (!f->key)
			return err_set(err, EINVAL, "%s: unknown key \"%s\"",
				       option, pair);
		if (f->take(o, text) < 0)
			return err_set(err, EINVAL, "%s: %s=%s: bad value",
				       option, pair, text);
	}
	return 0;
}

/* Options. -------------------------------------------------------------- */

static int tty_or_off(const char *option, const char *value, bool *out,
		      struct err *err)
{
	if (strcmp(value, "tty") != 0 && strcmp(value, "off") != 0)
		return err_set(err, EINVAL, "%s %s: only tty and off", option,
			       value);
	*out = strcmp(value, "tty") == 0;
	return 0;
}

static int set_kernel(struct vmm_options *o, char *value, struct err *err)
{
	o->kernel = value;
	return 0;
}

static int set_initramfs(struct vmm_options *o, char *value, struct err *err)
{
	o->initramfs = value;
	return 0;
}

static int set_cmdline(struct vmm_options *o, char *value, struct err *err)
{
	o->cmdline = value;
	return 0;
}

static int set_cpus(struct vmm_options *o, char *value, struct err *err)
{
	return take_fields(o, "--cpus", cpus_fields, value, err);
}

static int set_memory(struct vmm_options *o, char *value, struct err *err)
{
	return take_fields(o, "--memory", memory_fields, value, err);
}

static int set_serial(struct vmm_options *o, char *value, struct err *err)
{
	return tty_or_off("--serial", value, &o->serial, err);
}

static int set_console(struct vmm_options *o, char *value, struct err *err)
{
	return tty_or_off("--console", value, &o->console, err);
}

static int set_rng(struct vmm_options *o, char *value, struct err *err)
{
	o->rng = true;
	return value ? take_fields(o, "--rng", rng_fields, value, err) : 0;
}

static int set_vsock(struct vmm_options *o, char *value, struct err *err)
{
	int ret = take_fields(o, "--vsock", vsock_fields, value, err);

	if (ret == 0 && (!o->vsock_cid || !o->vsock_socket))
		return err_set(err, EINVAL, "--vsock: needs cid and socket");
	return ret;
}

static int set_disk(struct vmm_options *o, char *value, struct err *err)
{
	int ret;

	if (o->ndisks == VMM_DISKS_MAX)
		return err_set(err, EINVAL, "--disk: more than %u",
			       VMM_DISKS_MAX);
	o->ndisks++;
	ret = take_fields(o, "--disk", disk_fields, value, err);
	if (ret == 0 && !o->disks[o->ndisks - 1].path)
		return err_set(err, EINVAL, "--disk: needs path");
	return ret;
}

static int set_net(struct vmm_options *o, char *value, struct err *err)
{
	uint8_t *mac;
	int ret;

	if (o->nnets == VMM_NETS_MAX)
		return err_set(err, EINVAL, "--net: more than %u",
			       VMM_NETS_MAX);
	mac = o->nets[o->nnets++].mac;
	if (getrandom(mac, 6, 0) != 6)
		return err_sys(err, "--net: getrandom");
	mac[0] = 0x02 | (mac[0] & 0xf0); /* locally administered, unicast */
	ret = take_fields(o, "--net", net_fields, value, err);
	if (ret == 0 && !o->nets[o->nnets - 1].tap)
		return err_set(err, EINVAL, "--net: needs tap");
	return ret;
}

static int set_verbose(struct vmm_options *o, char *value, struct err *err)
{
	o->verbose = true;
	return 0;
}

static int set_help(struct vmm_options *o, char *value, struct err *err)
{
	o->help = true;
	return 0;
}

static int set_version(struct vmm_options *o, char *value, struct err *err)
{
	o->version = true;
	return 0;
}

enum arity {
	NONE,
	OPTIONAL,
	ONE,
	MANY, /* one at least */
};

static const struct {
	const char *name;
	enum arity arity;
	int (*set)(struct vmm_options *o, char *value, struct err *err);
} table[] = {
	{"--kernel", ONE, set_kernel},	 {"--initramfs", ONE, set_initramfs},
	{"--cmdline", ONE, set_cmdline}, {"--cpus", ONE, set_cpus},
	{"--memory", ONE, set_memory},	 {"--serial", ONE, set_serial},
	{"--console", ONE, set_console}, {"--rng", OPTIONAL, set_rng},
	{"--vsock", ONE, set_vsock},	 {"--disk", MANY, set_disk},
	{"--net", MANY, set_net},	 {"-v", NONE, set_verbose},
	{"--help", NONE, set_help},	 {"--version", NONE, set_version},
};

static bool is_value(const char *arg)
{
	return arg && strncmp(arg, "--", 2) != 0 && strcmp(arg, "-v") != 0;
}

/* Returns how many arguments it used, or -errno. */
static int take_option(struct vmm_options *o, char **argv, struct err *err)
{
	size_t i = 0;
	int used = 1;
	int ret;

	while (i < ARRAY_SIZE(table) && strcmp(table[i].name, argv[0]) != 0)
		i++;
	if (i == ARRAY_SIZE(table))
		return err_set(err, EINVAL, "unknown option \"%s\"", argv[0]);
	if (table[i].arity == NONE ||
	    (table[i].arity == OPTIONAL && !is_value(argv[1]))) {
		ret = table[i].set(o, NULL, err);
		return ret < 0 ? ret : used;
	}
	/* The text of --cmdline may begin with anything. */
	if (!argv[1] || (table[i].set != set_cmdline && !is_value(argv[1])))
		return err_set(err, EINVAL, "%s: needs a value", argv[0]);
	do {
		ret = table[i].set(o, argv[used++], err);
	} while (ret == 0 && table[i].arity == MANY && is_value(argv[used]));
	return ret < 0 ? ret : used;
}

int vmm_options_parse(struct vmm_options *options, int argc, char **argv,
		      struct err *err)
{
	int i = 1;

	*options = (struct vmm_options){
		.cmdline = "",
		.cpus = 1,
		.memory = 512u << 20,
		.thp = true,
		.console = true,
	};
	while (i < argc) {
		int used = take_option(options, argv + i, err);

		if (used < 0)
			return used;
		i += used;
	}
	if (!options->kernel && !options->help && !options->version)
		return err_set(err, EINVAL, "--kernel: is needed");
	return 0;
}
