/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_SANDBOX_H
#define RUNTIME_SANDBOX_SANDBOX_H

/*
 * The supervisor's objects: one sandbox, its containers, their processes.
 * Everything runs on one event loop in one thread.
 *
 *	sandbox   NEW -> STARTING (sandbox process, agent dial, set-up calls)
 *	          -> READY -> DEAD (the VM is over; reason)
 *	process   CREATED -> RUNNING -> STOPPED
 */

#include <stdbool.h>
#include <stdint.h>

#include "agent-proto/agent.pb-c.h"
#include "agent-proto/task.pb-c.h"
#include "agent-proto/ttrpc.h"
#include "base/evloop.h"
#include "base/log.h"
#include "runtime/oci/spec.h"
#include "runtime/sandbox/console.h"
#include "runtime/sandbox/dial.h"
#include "runtime/sandbox/extensions.h"
#include "runtime/sandbox/network.h"
#include "runtime/sandbox/process.h"
#include "runtime/sandbox/size.h"
#include "runtime/sandbox/stream.h"
#include "runtime/sandbox/supervisor.h"
#include "runtime/sandbox/waiters.h"

#define AGENT_SERVICE "grpc.AgentService"
#define GUEST_SHARED "/run/kata-containers/shared/containers"
#define STATUS_VM_GONE 255u

struct sandbox;
struct container;

enum process_state {
	PROCESS_CREATED,
	PROCESS_RUNNING,
	PROCESS_STOPPED,
};

struct process {
	struct process *next;
	struct container *container;
	char *exec_id; /* "" for init */
	enum process_state state;
	bool terminal;
	bool exited; /* the guest said so; streams may still drain */
	bool exists; /* in the guest */
	bool lost;   /* it ended with its VM */
	uint32_t exit_status;
	int64_t exited_at_ns;
	pid_t pid; /* proxy on the host; 0: none */
	int pidfd;
	struct evsource pid_src;
	struct stream_set streams;
	struct ttrpc_call wait_call;
	bool dialing;  /* for its streams, before the guest is asked */
	bool starting; /* the guest was asked to, and did not answer yet */
	unsigned busy; /* operations that hold a pointer to it */
	struct waiter *waiters;
	Oci__Process *spec; /* of an exec, until it starts */
};

struct container {
	struct container *next;
	struct sandbox *sandbox;
	char *id;
	char *bundle;
	char *rootfs; /* absolute, on the host */
	char created[40];
	Oci__Spec *spec; /* as in config.json */
	bool pod_container;
	bool shared_pid; /* joins the pod's PID namespace */
	bool creating;	 /* its Create is not answered yet */
	bool created_in_guest;
	bool paused;
	bool deleting;
	bool delete_pending;	   /* until nothing is under way in it */
	struct waiter *deleters;   /* more who want it deleted */
	struct waiter *watchers;   /* of its next event */
	uint64_t ooms;		   /* times the guest ran out of its memory */
	struct process *processes; /* init first */
};

enum sandbox_phase {
	SANDBOX_NEW,
	SANDBOX_STARTING,
	SANDBOX_READY,
	SANDBOX_DEAD,
};

/* A call of the set-up sequence: owned request, run in order. */
struct setup_call {
	struct setup_call *next;
	const char *method;
	ProtobufCMessage *request;
};

struct sandbox {
	const struct supervisor_args *args;
	struct evloop *loop;
	char *dir; /* <root>/<id> */
	struct ttrpc_server *server;
	struct evtimer idle; /* nobody came after the start */
	enum sandbox_phase phase;
	char reason[ERR_TEXT_MAX]; /* why it is DEAD */
	bool closing;		   /* its end is wanted */
	char *cgroup;		   /* absolute path, made by us; or NULL */
	struct sandbox_size size;
	struct network network;

	struct sandbox_process vmm;
	struct log_limit limit; /* of what the sandbox process says */
	struct evsource vmm_src;
	struct evsource control_src;
	struct console console;

	struct dial dial;
	struct evsource dial_src;
	struct evtimer dial_timer;
	uint64_t dial_deadline_ns;
	uint64_t dialed_ns; /* the last time */
	struct ttrpc_client *agent;
	bool stdio_ports; /* the agent takes streams as connections */
	struct setup_call *setup;
	struct ttrpc_call setup_call;
	struct ttrpc_call oom_call;
	struct evtimer oom_timer;
	uint64_t oom_asked_ns;	      /* the last time */
	struct extensions extensions; /* that the agent takes */
	bool file_events;	      /* it repeats them */
	bool file_events_busy;
	struct ttrpc_call file_events_call;
	struct evtimer file_events_timer;
	/* Once, when READY (0) or DEAD (-errno). */
	void (*on_ready)(struct sandbox *s, int ret);

	struct container *containers;
};

/* sandbox.c: the sandbox process and its end. */
struct sandbox *sandbox_new(const struct supervisor_args *args,
			    struct err *err);
void sandbox_free(struct sandbox *s);
/* Starts the VM for its first container; on_ready follows. */
int sandbox_boot(struct sandbox *s, struct container *first,
		 struct err *err) MUST_CHECK;
/* The VM is over: every process of it has ended. */
void sandbox_died(struct sandbox *s, const char *reason);
/* So it is for the supervisor when the agent's connection is. */
void sandbox_agent_lost(struct sandbox *s);
/* Ends the VM and removes what the sandbox has on the host. */
void sandbox_destroy(struct sandbox *s);
/* A listening Unix socket of that name below its directory, whose path may be
 * longer than sun_path. */
int sandbox_listen(const struct sandbox *s, const char *name,
		   struct err *err) MUST_CHECK;

/* setup.c: from the first dial to a sandbox that takes containers. */
int setup_start(struct sandbox *s, const struct container *first,
		struct err *err) MUST_CHECK;
/* The guest wrote to its console, as its agent does when it listens: do not
 * wait with the next dial. */
void setup_hint(struct sandbox *s);
void setup_abort(struct sandbox *s);

/* container.c, process_life.c */
struct container *container_find(struct sandbox *s, const char *id);
struct process *process_find(struct container *c, const char *exec_id);
struct container *container_new(struct sandbox *s, const char *id,
				const char *bundle, struct err *err);
/* Shares its rootfs and volumes with the guest. */
int container_share(struct container *c, struct err *err) MUST_CHECK;
void container_unshare(struct container *c);
int container_save(struct container *c, struct err *err) MUST_CHECK;
/* Before it is created: what a sweep must know if we are killed. */
int container_save_early(struct container *c, struct err *err) MUST_CHECK;
void container_free(struct container *c);
struct process *process_new(struct container *c, const char *exec_id,
			    struct err *err);
void process_free(struct process *p);
/* Watches the proxy: when it dies first, the process is killed. */
int process_watch(struct process *p, pid_t pid, struct err *err) MUST_CHECK;
/* RUNNING: the guest's WaitProcess is under way. */
void process_started(struct process *p);
/* STOPPED: answers those who wait. */
void process_ended(struct process *p, uint32_t status, int64_t at_ns);
/* Call after a stream came to its end: an exited process may be over. */
void process_drained(struct process *p);
void process_signal(struct process *p, uint32_t signo, bool all);
/* Answers now when it is STOPPED, later otherwise. */
void process_wait(struct process *p, struct ttrpc_request *req);
/* Those to whom no answer comes through any more. */
void process_forget_waiters(struct process *p);
/* Frees the execs whose proxy was killed, which nobody will ask for. */
void process_reap_abandoned(struct container *c);
/* The exec_id that the agent knows it by. */
const char *process_agent_id(const struct process *p);

/* guest_spec.c: what travels to the agent, from c->spec (a copy; caller
 * frees). Binds volumes into the shared tree. */
Oci__Spec *guest_spec(struct container *c, struct err *err);
bool mount_is_bind(const Oci__Mount *m);
/* The name of a bind mount below its container's directory. */
void mount_share_name(char *name, size_t size, size_t index, const char *dest);
/* The source of a bind mount (O_PATH) and its kind. */
int mount_open_source(const struct container *c, size_t index, mode_t *mode,
		      struct err *err) MUST_CHECK;

/* mount_points.c: the guest cannot make them in a root (O_PATH) that it gets
 * read-only. */
int mount_points_make(const struct container *c, int root,
		      struct err *err) MUST_CHECK;

/* task.c */
extern const struct ttrpc_method task_methods[];
/* NULL: there is none, and req is answered. */
struct process *task_find_process(struct sandbox *s, const char *id,
				  const char *exec_id,
				  struct ttrpc_request *req);

/* task_state.c */
void task_state(struct ttrpc_request *req, const ProtobufCMessage *message,
		void *arg);
void task_tell_pids(struct ttrpc_request *req, const ProtobufCMessage *message,
		    void *arg);

/* task_delete.c */
void task_delete(struct ttrpc_request *req, const ProtobufCMessage *message,
		 void *arg);
/* An operation that held p is over, and a deletion may begin: its container
 * may be gone afterwards. */
void process_release(struct process *p);

/* events.c: what the guest tells by itself. Of one that is READY. */
int events_start(struct sandbox *s, struct err *err) MUST_CHECK;
void events_abort(struct sandbox *s);
/* Its first process ended, or nobody will ask for it any more. */
void events_end(struct container *c);
/* The same of those who watch. */
void events_forget(struct container *c);
void events_next(struct ttrpc_request *req, const ProtobufCMessage *message,
		 void *arg);

/* file_events.c */
int file_events_start(struct sandbox *s, struct err *err) MUST_CHECK;
void file_events_abort(struct sandbox *s);
/* The guest has it: from now on. */
void file_events_begin(const struct container *c);
void file_events_end(const struct container *c);
/* From the sandbox process. False: it broke its protocol. */
bool file_events_message(struct sandbox *s, const char *text, size_t len);

/* stats.c */
void task_stats(struct ttrpc_request *req, const ProtobufCMessage *message,
		void *arg);

#endif
