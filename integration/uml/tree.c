/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/uml/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROCESSES_MAX 4096u

static bool read_stat(pid_t pid, struct tree_process *p)
{
	char path[64], text[1024], *s;
	unsigned long user, system;
	unsigned long long started;
	int fd, parent;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	s = strrchr(text, ')'); /* the name may hold anything */
	if (!s || sscanf(s + 1,
			 " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu "
			 "%*d %*d %*d %*d %*d %*d %llu",
			 &p->state, &parent, &user, &system, &started) != 5)
		return false;
	p->pid = pid;
	p->parent = parent;
	p->ticks = user + system;
	p->started = started;
	return p->state != 'Z' && p->state != 'X';
}

static unsigned read_all(struct tree_process *all)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	unsigned n = 0;

	if (!proc)
		abort();
	while (n < PROCESSES_MAX && (entry = readdir(proc))) {
		int pid = atoi(entry->d_name);

		if (pid > 0 && read_stat(pid, &all[n]))
			n++;
	}
	closedir(proc);
	return n;
}

void tree_read(struct tree *tree)
{
	static struct tree_process all[PROCESSES_MAX];
	unsigned n = read_all(all);
	pid_t parent = getpid();

	/* Each found one is looked up as a parent in its turn. */
	tree->count = 0;
	for (unsigned done = 0;; done++) {
		for (unsigned i = 0; i < n && tree->count < TREE_MAX; i++)
			if (all[i].parent == parent)
				tree->all[tree->count++] = all[i];
		if (done == tree->count)
			break;
		parent = tree->all[done].pid;
	}
}

const char *tree_role(unsigned index)
{
	return index == 0 ? "spawner" : index == 1 ? "kernel" : "guest process";
}

uint64_t tree_ticks(const struct tree *tree)
{
	uint64_t ticks = 0;

	for (unsigned i = 0; i < tree->count; i++)
		ticks += tree->all[i].ticks;
	return ticks;
}

bool tree_at_rest(const struct tree *tree)
{
	for (unsigned i = 0; i < tree->count; i++)
		if (tree->all[i].state == 'R' || tree->all[i].state == 'D')
			return false;
	return true;
}

/* A number may be another process's by now. */
unsigned tree_left(const struct tree *tree)
{
	unsigned left = 0;

	for (unsigned i = 0; i < tree->count; i++) {
		struct tree_process now;

		if (read_stat(tree->all[i].pid, &now) &&
		    now.started == tree->all[i].started)
			left++;
	}
	return left;
}
