/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/uml.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The command line. ------------------------------------------------------ */

static struct uml_guest guest_with(const char *cmdline)
{
	return (struct uml_guest){
		.kernel_fd = -1,
		.memory_fd = -1,
		.initramfs_fd = 0,
		.console_fd = -1,
		.memory = 64u << 20,
		.cmdline = cmdline,
	};
}

static bool has_word(char **argv, const char *word)
{
	for (; *argv; argv++)
		if (strcmp(*argv, word) == 0)
			return true;
	return false;
}

static void names_what_the_kernel_inherits(void **state)
{
	struct uml_guest guest = guest_with("quiet  a=\"b  c\"\t-- x");
	struct err err = {0};
	char **argv;

	guest.ndevices = 2;
	guest.devices[0].id = 4;
	guest.devices[1].id = 26;
	argv = uml_args(&guest, &err);
	assert_non_null(argv);
	assert_true(has_word(argv, "mem=67108864"));
	assert_true(has_word(argv, "mem_fd=3"));
	assert_true(has_word(argv, "initrd=/fd/4"));
	assert_true(has_word(argv, "virtio_uml.device=/fd/5:4"));
	assert_true(has_word(argv, "virtio_uml.device=/fd/6:26"));
	assert_true(has_word(argv, "quiet"));
	assert_true(has_word(argv, "a=\"b  c\""));
	assert_true(has_word(argv, "--"));
	assert_true(has_word(argv, "x"));
	free(argv);
	guest.initramfs_fd = -1;
	argv = uml_args(&guest, &err);
	assert_non_null(argv);
	assert_false(has_word(argv, "initrd=/fd/4"));
	free(argv);
}

static void refuses_words_of_the_machine(void **state)
{
	static const char *const bad[] = {
		"mem=1G",
		"quiet mem_fd=0",
		"initrd=/etc/shadow",
		"a con0=fd:7",
		"con=pty",
		"virtio_uml.device=/run/x.sock:1",
		"umid=x",
		"uml_dir=/",
		"--help",
		"-- --showconfig",
		"iomem=a,/dev/mem",
		"a\nmem=2",
	};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(uml_check_cmdline(bad[i], &err), -EINVAL);
	assert_int_equal(uml_check_cmdline("", &err), 0);
	assert_int_equal(uml_check_cmdline("quiet memtest=1 -- x", &err), 0);
}

static void refuses_lines_that_are_too_long(void **state)
{
	char line[8192];
	struct uml_guest guest = guest_with(line);
	struct err err = {0};

	memset(line, 'a', sizeof(line));
	line[4096] = '\0';
	assert_int_equal(uml_check_cmdline(line, &err), -E2BIG);
	/* As long as may be, which leaves no room for our words. */
	line[4095] = '\0';
	assert_int_equal(uml_check_cmdline(line, &err), 0);
	assert_null(uml_args(&guest, &err));
	assert_int_equal(err.code, E2BIG);
	for (size_t i = 1; i < 4096; i += 2)
		line[i] = ' ';
	assert_int_equal(uml_check_cmdline(line, &err), -E2BIG);
}

/* Kernels. --------------------------------------------------------------- */

struct fake {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	char text[64];
};

static struct fake fake_kernel(void)
{
	struct fake f = {
		.eh = {.e_type = ET_EXEC,
		       .e_machine = EM_X86_64,
		       .e_phoff = offsetof(struct fake, ph),
		       .e_phentsize = sizeof(Elf64_Phdr),
		       .e_phnum = 2},
		.ph = {{.p_type = PT_LOAD}, {.p_type = PT_NOTE}},
		.text = "..mem_fd=<descriptor>\n",
	};

	memcpy(f.eh.e_ident, ELFMAG, SELFMAG);
	f.eh.e_ident[EI_CLASS] = ELFCLASS64;
	return f;
}

static int check_fake(const struct fake *f, size_t len, bool unsafe,
		      struct err *err)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC), ret;

	assert_int_equal(write(fd, f, len), len);
	ret = uml_check_kernel(fd, unsafe, err);
	close(fd);
	return ret;
}

static void takes_a_kernel_of_our_own(void **state)
{
	struct fake f = fake_kernel();
	struct err err = {0};

	assert_int_equal(check_fake(&f, sizeof(f), false, &err), 0);
}

static void refuses_a_stock_kernel(void **state)
{
	struct fake f = fake_kernel();
	struct err err = {0};

	f.text[5] = 'x';
	assert_int_equal(check_fake(&f, sizeof(f), false, &err), -ENOEXEC);
	assert_non_null(strstr(err.text, "unsafe_stock_uml_kernel allows it"));
	assert_int_equal(check_fake(&f, sizeof(f), true, &err), 0);
	/* Allowed or not, there is no library for it. */
	f.ph[1].p_type = PT_INTERP;
	assert_int_equal(check_fake(&f, sizeof(f), true, &err), -ENOEXEC);
	assert_non_null(strstr(err.text, "dynamically linked"));
}

static void refuses_what_is_no_kernel(void **state)
{
	struct err err = {0};
	struct fake f = fake_kernel();

	assert_int_equal(check_fake(&f, 20, true, &err), -ENOEXEC);
	assert_int_equal(check_fake(&f, 0, true, &err), -ENOEXEC);
	f.eh.e_phnum = 65;
	assert_int_equal(check_fake(&f, sizeof(f), true, &err), -ENOEXEC);
	f = fake_kernel();
	f.eh.e_phoff = UINT64_MAX - 8;
	assert_int_equal(check_fake(&f, sizeof(f), true, &err), -ENOEXEC);
	f = fake_kernel();
	f.eh.e_phoff = sizeof(f) - 8;
	assert_int_equal(check_fake(&f, sizeof(f), true, &err), -ENOEXEC);
	f = fake_kernel();
	f.eh.e_machine = EM_AARCH64;
	assert_int_equal(check_fake(&f, sizeof(f), true, &err), -ENOEXEC);
}

static void copies_a_kernel_that_others_cannot_run(void **state)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC), copy;
	struct err err = {0};
	char text[8] = "";
	struct stat st;

	assert_int_equal(write(fd, "kernel", 6), 6);
	assert_int_equal(fchmod(fd, 0755), 0);
	assert_int_equal(uml_executable(fd, &err), fd);
	assert_int_equal(fchmod(fd, 0700), 0);
	copy = uml_executable(fd, &err);
	assert_true(copy >= 0);
	assert_int_equal(fstat(copy, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0555);
	assert_int_equal(pread(copy, text, sizeof(text), 0), 6);
	assert_string_equal(text, "kernel");
	assert_int_equal(write(copy, "x", 1), -1);
	close(copy);
}

/* The machine. ----------------------------------------------------------- */

static void refuses_more_vcpus(void **state)
{
	struct evloop *loop = evloop_new();
	struct vm_config config = {
		.machine = "uml",
		.vcpus = 4,
		.memory = 64u << 20,
		.kernel_fd = memfd_create("kernel", MFD_CLOEXEC),
		.initramfs_fd = -1,
		.loop = loop,
	};
	struct err err = {0};

	assert_null(vm_new(&config, &err));
	assert_string_equal(err.text,
			    "machine uml: one vCPU, default_vcpus is 4");
	evloop_free(loop);
}

/* Messages. -------------------------------------------------------------- */

static void carries_messages(void **state)
{
	struct uml_message m;
	char longer[1024];
	int pair[2], fd, one = memfd_create("x", MFD_CLOEXEC);

	memset(longer, 'y', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(uml_send(pair[0], UML_DEVICE, 7, longer, one), 0);
	assert_int_equal(uml_receive(pair[1], &m, &fd, 0), 1);
	assert_int_equal(m.type, UML_DEVICE);
	assert_int_equal(m.value, 7);
	assert_int_equal(strlen(m.text), UML_TEXT_MAX - 1);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(uml_receive(pair[1], &m, &fd, MSG_DONTWAIT), -EAGAIN);
	assert_int_equal(fd, -1);
	assert_int_equal(send(pair[0], "short", 5, 0), 5);
	assert_int_equal(uml_receive(pair[1], &m, &fd, 0), -EPROTO);
	close(pair[0]);
	assert_int_equal(uml_receive(pair[1], &m, &fd, 0), 0);
	close(pair[1]);
	close(one);
}

/* The filter, in a child. ------------------------------------------------ */

static int below_filter(int (*f)(void))
{
	struct err err = {0};
	struct uml_filter *filter = uml_filter_new(&err);
	int status;
	pid_t pid;

	assert_non_null(filter);
	pid = fork();
	if (pid == 0) {
		if (uml_filter_load(filter) < 0)
			_exit(99);
		_exit(f());
	}
	uml_filter_free(filter);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define REFUSED(...) (syscall(__VA_ARGS__) == -1 && errno == ENOSYS)

/* The number of the first that is not refused. */
static int try_refused(void)
{
	static const char path[] = "/";
	int fds[2];

	if (!REFUSED(SYS_openat, AT_FDCWD, path, O_RDONLY))
		return 1;
	if (!REFUSED(SYS_open, path, O_RDONLY))
		return 2;
	if (!REFUSED(SYS_execve, path, NULL, NULL))
		return 3;
	if (!REFUSED(SYS_execveat, 0, path, NULL, NULL, 0))
		return 4;
	if (!REFUSED(SYS_socket, AF_UNIX, SOCK_STREAM, 0))
		return 5;
	if (!REFUSED(SYS_connect, 0, NULL, 0))
		return 6;
	if (!REFUSED(SYS_socketpair, AF_INET, SOCK_STREAM, 0, fds))
		return 7;
	if (!REFUSED(SYS_clone, 0x10000000l /* NEWUSER */, NULL, NULL, NULL, 0))
		return 8;
	if (!REFUSED(SYS_clone3, NULL, 0))
		return 9;
	if (!REFUSED(SYS_prlimit64, 1, 0, NULL, NULL))
		return 10;
	if (!REFUSED(SYS_newfstatat, AT_FDCWD, path, NULL, 0))
		return 11;
	if (!REFUSED(SYS_process_vm_writev, 1, NULL, 0, NULL, 0, 0))
		return 12;
	if (!REFUSED(SYS_mount, path, path, path, 0, NULL))
		return 13;
	if (!REFUSED(SYS_bpf, 0, NULL, 0) || !REFUSED(SYS_io_uring_setup, 1, 0))
		return 14;
	if (!REFUSED(SYS_prctl, 1, 0, 0, 0, 0) ||
	    !REFUSED(SYS_memfd_create, path, 0))
		return 15;
	return 0;
}

static void refuses_what_reaches_out(void **state)
{
	assert_int_equal(below_filter(try_refused), 0);
}

static int try_allowed(void)
{
	struct utsname uts;
	struct stat st;
	int fds[2];

	if (syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return 1;
	if (syscall(SYS_newfstatat, 0, "", &st, AT_EMPTY_PATH) < 0)
		return 2;
	if (syscall(SYS_uname, &uts) < 0)
		return 3;
	return 0;
}

static void allows_what_the_kernel_needs(void **state)
{
	assert_int_equal(below_filter(try_allowed), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_what_the_kernel_inherits),
		cmocka_unit_test(refuses_words_of_the_machine),
		cmocka_unit_test(refuses_lines_that_are_too_long),
		cmocka_unit_test(takes_a_kernel_of_our_own),
		cmocka_unit_test(refuses_a_stock_kernel),
		cmocka_unit_test(refuses_what_is_no_kernel),
		cmocka_unit_test(copies_a_kernel_that_others_cannot_run),
		cmocka_unit_test(refuses_more_vcpus),
		cmocka_unit_test(carries_messages),
		cmocka_unit_test(refuses_what_reaches_out),
		cmocka_unit_test(allows_what_the_kernel_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
