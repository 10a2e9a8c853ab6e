/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_REPLAY_H
#define BASE_REPLAY_H

/*
 * Changes that the host makes to shared files, for inotify in the guest.
 *
 * The guest's kernel raises events for what is done through its own mount
 * alone. So the agent does there what the host did (file_event_kind), as a
 * user and group that the file server knows: it answers such requests with the
 * present state of the host's tree and changes nothing, whoever makes them.
 *
 * Where the tree and what the guest is to see differ, as the tree is ahead, the
 * agent announces the name first: it sets the attribute REPLAY_XATTR of the
 * directory to
 *
 *	kind (replay_kind), 'd' for a directory or '-', name without NUL
 *
 * which fails with REPLAY_ACCEPTED, so that it is no event itself. An
 * announcement holds for what it announces, and until the next one. Of a file,
 * REPLAY_NONE is accepted, and no other.
 */

#include <errno.h>

/* Both together; no ids of files or users, and not -1 or 65534. */
#define REPLAY_UID 0xfe6e6163u
#define REPLAY_GID 0xfe726570u

#define REPLAY_XATTR "nacre.replay"
#define REPLAY_ACCEPTED EINPROGRESS
#define REPLAY_NAME_MAX 255u

enum replay_kind {
	REPLAY_CREATE = 'c', /* the name is not there yet */
	REPLAY_DELETE = 'd', /* the name is still there */
	REPLAY_TO = 't',     /* of a rename: the name has what it replaces */
	REPLAY_FROM = 'f',   /* of a rename, after REPLAY_TO: the name has what
			      * the other one has now */
	REPLAY_NONE = 'n',   /* no name: as it is on the host */
	REPLAY_WATCH = 'w',  /* and remember what the guest finds in here */
};

/* What the host tells the agent; numbers of the protocol. Directories have
 * numbers, which are never used again. So have files that are volumes: of such
 * a root, there are FORGET and, with name "", MODIFY, CLOSE_WRITE and ATTRIB.
 */
enum file_event_kind {
	FILE_EVENT_ROOT = 1,  /* to_dir: the directory, or the file, at the
			       * path `name` below the shared tree */
	FILE_EVENT_DIRECTORY, /* to_dir: the directory `name` in dir */
	FILE_EVENT_FORGET,    /* dir is not watched any more */
	FILE_EVENT_CREATE,    /* name in dir; so are the others */
	FILE_EVENT_DELETE,
	FILE_EVENT_RENAME, /* to to_name in to_dir */
	FILE_EVENT_MODIFY,
	FILE_EVENT_CLOSE_WRITE,
	FILE_EVENT_ATTRIB, /* name "": of the directory itself, too */
	FILE_EVENT_KINDS,
};

#endif
