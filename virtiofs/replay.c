/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/replay.h"
#include "virtiofs/attr.h"
#include "virtiofs/inode.h"
#include "virtiofs/name.h"
#include "virtiofs/xattr.h"

/* Power of two. A name that falls on another's place replaces it. */
#define NOTES 8192u

enum slot {
	SLOT_CREATE,
	SLOT_DELETE,
	SLOT_TO,
	SLOT_FROM,
	SLOTS,
};

struct fs_replay {
	pthread_mutex_t lock; /* guards the fields below */
	int ghost_fd;	      /* an empty file, sealed */
	uint64_t generation;  /* of the next ghost */
	struct announced {
		uint64_t dir; /* 0: nothing */
		bool directory;
		char name[FS_NAME_MAX + 1];
	} slots[SLOTS];
	struct note {
		uint64_t hash; /* of directory and name */
		uint64_t nodeid;
	} notes[NOTES];
};

int fs_replay_init(struct virtiofs *fs)
{
	const int seals =
		F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	struct fs_replay *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->ghost_fd = memfd_create("replay", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (r->ghost_fd < 0 || fcntl(r->ghost_fd, F_ADD_SEALS, seals)) {
		int ret = -errno;

		if (r->ghost_fd >= 0)
			close(r->ghost_fd);
		free(r);
		return ret;
	}
	pthread_mutex_init(&r->lock, NULL);
	fs->replay = r;
	return 0;
}

void fs_replay_release(struct virtiofs *fs)
{
	struct fs_replay *r = fs->replay;

	if (!r)
		return;
	close(r->ghost_fd);
	pthread_mutex_destroy(&r->lock);
	free(r);
	fs->replay = NULL;
}

bool fs_is_replay(const struct virtiofs *fs, const struct fuse_in_header *in)
{
	return fs->replay && in->uid == REPLAY_UID && in->gid == REPLAY_GID;
}

/* Notes. ------------------------------------------------------------------ */

/* FNV-1a: a guest that makes two names meet hides its own events. */
static uint64_t name_hash(uint64_t dir, const char *name)
{
	uint64_t h = 0xcbf29ce484222325ull ^ dir * 0x9e3779b97f4a7c15ull;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3ull;
	return h;
}

/* With the lock; the place of another name is not taken for nothing. */
static void note_put(struct fs_replay *r, uint64_t hash, uint64_t nodeid)
{
	struct note *note = &r->notes[hash >> 32 & (NOTES - 1)];

	if (nodeid || note->hash == hash)
		*note = (struct note){hash, nodeid};
}

/* With the lock. 0: none. */
static uint64_t note_of(const struct fs_replay *r, uint64_t hash)
{
	const struct note *note = &r->notes[hash >> 32 & (NOTES - 1)];

	return note->hash == hash ? note->nodeid : 0;
}

static void note_set(struct fs_replay *r, uint64_t dir, const char *name,
		     uint64_t nodeid)
{
	pthread_mutex_lock(&r->lock);
	note_put(r, name_hash(dir, name), nodeid);
	pthread_mutex_unlock(&r->lock);
}

void fs_replay_note_slow(struct fs_req *req, const char *name, uint64_t nodeid)
{
	note_set(req->fs->replay, fs_slot_id(&req->inode->slot), name, nodeid);
}

/* What the guest had there last, if it still knows it; or NULL. */
static struct fs_inode *noted(struct virtiofs *fs, uint64_t dir,
			      const char *name)
{
	struct fs_replay *r = fs->replay;
	uint64_t nodeid;

	pthread_mutex_lock(&r->lock);
	nodeid = note_of(r, name_hash(dir, name));
	pthread_mutex_unlock(&r->lock);
	return nodeid ? fs_inode_get(fs, nodeid) : NULL;
}

/* As by a rename, or with exchange, by one that swaps them. */
static void note_move(struct fs_replay *r, uint64_t from, uint64_t to,
		      bool exchange)
{
	uint64_t moved, other;

	pthread_mutex_lock(&r->lock);
	moved = note_of(r, from);
	other = exchange ? note_of(r, to) : 0;
	note_put(r, from, other);
	note_put(r, to, moved);
	pthread_mutex_unlock(&r->lock);
}

void fs_replay_note_rename(struct fs_req *req, const char *name,
			   const struct fs_inode *to, const char *to_name,
			   bool exchange)
{
	if (!atomic_load_explicit(&req->inode->noted, memory_order_relaxed) &&
	    !atomic_load_explicit(&to->noted, memory_order_relaxed))
		return;
	note_move(req->fs->replay,
		  name_hash(fs_slot_id(&req->inode->slot), name),
		  name_hash(fs_slot_id(&to->slot), to_name), exchange);
}

/* Announcements. ---------------------------------------------------------- */

static int slot_of(uint8_t kind)
{
	switch (kind) {
	case REPLAY_CREATE:
		return SLOT_CREATE;
	case REPLAY_DELETE:
		return SLOT_DELETE;
	case REPLAY_TO:
		return SLOT_TO;
	case REPLAY_FROM:
		return SLOT_FROM;
	default:
		return -1;
	}
}

static int slot_set(struct fs_req *req, uint8_t kind, bool directory,
		    const char *name)
{
	struct fs_replay *r = req->fs->replay;
	int slot = slot_of(kind);
	int ret = fs_name_check(name);

	if (slot < 0)
		return -EINVAL;
	if (ret)
		return ret;
	pthread_mutex_lock(&r->lock);
	for (int i = 0; i < SLOTS; i++)
		if (slot != SLOT_FROM || i == SLOT_FROM)
			r->slots[i].dir = 0;
	r->slots[slot].dir = req->in.nodeid;
	r->slots[slot].directory = directory;
	memcpy(r->slots[slot].name, name, strlen(name) + 1);
	pthread_mutex_unlock(&r->lock);
	return -REPLAY_ACCEPTED;
}

/* The slot that has the name, with a copy of it; or SLOTS. */
static enum slot slot_find(struct fs_req *req, const char *name,
			   struct announced *copy)
{
	struct fs_replay *r = req->fs->replay;
	unsigned i;

	pthread_mutex_lock(&r->lock);
	for (i = 0; i < SLOTS; i++)
		if (r->slots[i].dir == req->in.nodeid &&
		    !strcmp(r->slots[i].name, name))
			break;
	if (i < SLOTS)
		*copy = r->slots[i];
	pthread_mutex_unlock(&r->lock);
	return (enum slot)i;
}

static void slots_clear(struct fs_replay *r)
{
	pthread_mutex_lock(&r->lock);
	for (int i = 0; i < SLOTS; i++)
		r->slots[i].dir = 0;
	pthread_mutex_unlock(&r->lock);
}

/* SETXATTR: the only name, and a value as base/replay.h has it. */
static int announce(struct fs_req *req)
{
	const struct fuse_setxattr_in *in = req->args;
	size_t pos = fs_has(req->fs, FUSE_SETXATTR_EXT)
			     ? sizeof(*in)
			     : FUSE_COMPAT_SETXATTR_IN_SIZE;
	char name[FS_NAME_MAX + 1];
	const uint8_t *value;
	const char *attribute;
	int ret = fs_take_string(req, &pos, &attribute);

	if (ret)
		return ret;
	if (strcmp(attribute, REPLAY_XATTR) != 0)
		return -EPERM;
	if (in->size != req->args_len - pos || in->size < 2 ||
	    in->size - 2 > FS_NAME_MAX)
		return -EINVAL;
	value = (const uint8_t *)req->args + pos;
	if (req->inode->type != S_IFDIR && value[0] != REPLAY_NONE)
		return -EPERM;
	if (value[0] == REPLAY_WATCH || value[0] == REPLAY_NONE) {
		if (value[0] == REPLAY_WATCH)
			atomic_store(&req->inode->noted, true);
		slots_clear(req->fs->replay);
		return -REPLAY_ACCEPTED;
	}
	memcpy(name, value + 2, in->size - 2);
	name[in->size - 2] = '\0';
	if (strlen(name) != in->size - 2)
		return -EINVAL;
	return slot_set(req, value[0], value[1] == 'd', name);
}

/* Entries. ---------------------------------------------------------------- */

/* To be asked for again, by whoever comes next. */
static void entry_expires(struct fuse_entry_out *out)
{
	out->entry_valid = 0;
	out->entry_valid_nsec = 0;
	out->attr_valid = 0;
	out->attr_valid_nsec = 0;
}

/* Of what fd (taken) is; counts a lookup. */
static int entry_of(struct fs_req *req, int fd, struct fuse_entry_out *out)
{
	struct statx stx;
	int ret = fd < 0 ? -errno : fs_stat(fd, &stx);

	if (ret) {
		if (fd >= 0)
			close(fd);
		return ret;
	}
	*out = (struct fuse_entry_out){0};
	fs_attr_fill(req->fs, &stx, &out->attr);
	return fs_inode_add(req->fs, fd, &stx, &out->nodeid);
}

/* As it was before it lost the name that the guest will take from it. */
static int entry_noted(struct fs_req *req, const struct fs_inode *inode)
{
	struct fuse_entry_out *out = fs_reply(req, sizeof(*out));
	int ret = entry_of(req, fcntl(inode->fd, F_DUPFD_CLOEXEC, 0), out);

	out->attr.nlink++;
	return ret;
}

/* A new inode for the guest each time, as the generation is another. */
static int entry_ghost(struct fs_req *req)
{
	struct fuse_entry_out *out = fs_reply(req, sizeof(*out));
	struct fs_replay *r = req->fs->replay;
	int ret = entry_of(req, fcntl(r->ghost_fd, F_DUPFD_CLOEXEC, 0), out);

	pthread_mutex_lock(&r->lock);
	out->generation = ++r->generation;
	pthread_mutex_unlock(&r->lock);
	return ret;
}

/* What the host has there now. */
static int entry_present(struct fs_req *req, struct fs_inode *dir,
			 const char *name)
{
	struct fuse_entry_out *out = fs_reply(req, sizeof(*out));
	struct fs_inode *own = req->inode;
	int ret;

	req->inode = dir;
	ret = fs_entry_named(req, name, out);
	req->inode = own;
	entry_expires(out);
	return ret;
}

static int lookup_deleted(struct fs_req *req, const struct announced *a)
{
	struct fs_inode *inode = noted(req->fs, a->dir, a->name);
	int ret = -ENOENT;

	if (inode && a->directory == (inode->type == S_IFDIR))
		ret = entry_noted(req, inode);
	else if (!a->directory)
		ret = entry_ghost(req);
	fs_inode_put(req->fs, inode);
	return ret;
}

static bool same_file(const struct fs_inode *inode, const struct fs_inode *dir,
		      const char *name)
{
	struct statx stx;

	return statx(dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		     STATX_INO, &stx) == 0 &&
	       stx.stx_ino == inode->key.ino &&
	       stx.stx_dev_major == inode->key.dev_major &&
	       stx.stx_dev_minor == inode->key.dev_minor;
}

/* What the guest found there is replaced, unless it found the new one. */
static int lookup_target(struct fs_req *req, const struct announced *a)
{
	struct fs_inode *inode = noted(req->fs, a->dir, a->name);
	int ret = -ENOENT;

	if (inode && a->directory == (inode->type == S_IFDIR) &&
	    !same_file(inode, req->inode, a->name))
		ret = entry_noted(req, inode);
	fs_inode_put(req->fs, inode);
	return ret;
}

static int lookup_source(struct fs_req *req, const struct announced *a)
{
	const struct fuse_entry_out *out = req->reply;
	struct fs_replay *r = req->fs->replay;
	struct announced to;
	struct fs_inode *dir;
	int ret = -ENOENT;

	pthread_mutex_lock(&r->lock);
	to = r->slots[SLOT_TO];
	pthread_mutex_unlock(&r->lock);
	dir = to.dir ? fs_inode_get(req->fs, to.dir) : NULL;
	if (dir)
		ret = entry_present(req, dir, to.name);
	fs_inode_put(req->fs, dir);
	if (!ret)
		fs_replay_note(req, a->name, out->nodeid);
	/* It went on from there. */
	if (ret == -ENOENT)
		ret = lookup_deleted(req, a);
	return ret;
}

static int replay_lookup(struct fs_req *req)
{
	struct announced a;
	const char *name;
	size_t pos = 0;
	int ret = fs_take_name(req, &pos, &name);

	if (ret)
		return ret;
	switch (slot_find(req, name, &a)) {
	case SLOT_CREATE:
		return -ENOENT;
	case SLOT_DELETE:
		return lookup_deleted(req, &a);
	case SLOT_TO:
		return lookup_target(req, &a);
	case SLOT_FROM:
		return lookup_source(req, &a);
	case SLOTS:
		break;
	}
	return fs_lookup(req);
}

/* Changes that change nothing. -------------------------------------------- */

/* The name at pos is the one announced. */
static int expect(struct fs_req *req, size_t *pos, enum slot slot,
		  struct announced *a)
{
	const char *name;
	int ret = fs_take_name(req, pos, &name);

	if (ret)
		return ret;
	return slot_find(req, name, a) == slot ? 0 : -EPERM;
}

/* Always a ghost, whatever it is on the host: the guest looks again. */
static int replay_mknod(struct fs_req *req)
{
	const struct fuse_mknod_in *in = req->args;
	size_t pos = sizeof(*in);
	struct announced a;
	int ret = expect(req, &pos, SLOT_CREATE, &a);

	if (ret)
		return ret;
	if ((in->mode & S_IFMT) != S_IFREG || a.directory)
		return -EPERM;
	slots_clear(req->fs->replay);
	return entry_ghost(req);
}

static int replay_mkdir(struct fs_req *req)
{
	const struct fuse_entry_out *out = req->reply;
	size_t pos = sizeof(struct fuse_mkdir_in);
	struct announced a;
	int ret = expect(req, &pos, SLOT_CREATE, &a);

	if (ret)
		return ret;
	slots_clear(req->fs->replay);
	ret = entry_present(req, req->inode, a.name);
	if (ret)
		return ret;
	if (S_ISDIR(out->attr.mode)) {
		fs_replay_note(req, a.name, out->nodeid);
		return 0;
	}
	fs_inode_forget(req->fs, out->nodeid, 1);
	return -ENOENT;
}

static int replay_remove(struct fs_req *req)
{
	struct announced a;
	size_t pos = 0;
	int ret = expect(req, &pos, SLOT_DELETE, &a);

	if (ret)
		return ret;
	note_set(req->fs->replay, a.dir, a.name, 0);
	slots_clear(req->fs->replay);
	return 0;
}

static int replay_rename(struct fs_req *req, size_t pos, uint64_t newdir)
{
	struct fs_replay *r = req->fs->replay;
	struct announced from;
	struct announced to;
	const char *name;
	int ret = expect(req, &pos, SLOT_FROM, &from);

	if (!ret)
		ret = fs_take_name(req, &pos, &name);
	if (ret)
		return ret;
	pthread_mutex_lock(&r->lock);
	to = r->slots[SLOT_TO];
	pthread_mutex_unlock(&r->lock);
	if (to.dir != newdir || strcmp(to.name, name) != 0)
		return -EPERM;
	note_move(r, name_hash(from.dir, from.name), name_hash(to.dir, to.name),
		  false);
	slots_clear(r);
	return 0;
}

/*
 * No file is opened: the host would see a writer. Nothing says that the guest
 * may keep what it has of the contents.
 */
static int replay_open(struct fs_req *req)
{
	if (req->inode->type != S_IFREG)
		return -EPERM;
	fs_reply(req, sizeof(struct fuse_open_out));
	return 0;
}

int fs_replay(struct fs_req *req)
{
	const struct fuse_rename_in *rename = req->args;
	const struct fuse_rename2_in *rename2 = req->args;

	if (req->patience != FS_PATIENT)
		return -EAGAIN;
	switch (req->in.opcode) {
	case FUSE_LOOKUP:
		return replay_lookup(req);
	case FUSE_GETXATTR:
		return fs_getxattr(req);
	case FUSE_GETATTR:
	case FUSE_SETATTR: /* the reply has the same form */
		return fs_getattr(req);
	case FUSE_SETXATTR:
		return announce(req);
	case FUSE_MKNOD:
		return replay_mknod(req);
	case FUSE_MKDIR:
		return replay_mkdir(req);
	case FUSE_UNLINK:
	case FUSE_RMDIR:
		return replay_remove(req);
	case FUSE_RENAME:
		return replay_rename(req, sizeof(*rename), rename->newdir);
	case FUSE_RENAME2:
		return replay_rename(req, sizeof(*rename2), rename2->newdir);
	case FS_STATX:
		return fs_statx(req);
	case FUSE_OPEN:
		return replay_open(req);
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		return 0;
	default:
		return -EPERM;
	}
}
