/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/machine/kvm.h"

/*
 * A vCPU thread runs its vCPU until `wanted` says otherwise. To get it out of
 * the guest, the loop sets immediate_exit and sends a signal: whichever side
 * of KVM_RUN's entry the thread is on, the call returns.
 */
#define KICK_SIGNAL SIGRTMIN

static void kicked(int sig)
{
}

static int install_kick(struct err *err)
{
	/* No SA_RESTART: the signal is there to end a system call. */
	struct sigaction action = {.sa_handler = kicked};

	sigemptyset(&action.sa_mask);
	if (sigaction(KICK_SIGNAL, &action, NULL) < 0)
		return err_sys(err, "sigaction");
	return 0;
}

static int vcpu_create(struct kvm_machine *kvm, struct kvm_vcpu *vcpu,
		       int run_size, struct err *err)
{
	void *run;

	vcpu->fd = ioctl(kvm->vm_fd, KVM_CREATE_VCPU, (unsigned long)vcpu->id);
	if (vcpu->fd < 0)
		return err_sys(err, "vCPU %u: KVM_CREATE_VCPU", vcpu->id);
	run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   vcpu->fd, 0);
	if (run == MAP_FAILED)
		return err_sys(err, "vCPU %u: mmap", vcpu->id);
	vcpu->run = run;
	vcpu->run_size = (size_t)run_size;
	if (kvm_cpu_init(vcpu, err) < 0)
		return err_wrap(err, "vCPU %u", vcpu->id);
	return 0;
}

int kvm_vcpus_create(struct kvm_machine *kvm, struct err *err)
{
	int run_size = ioctl(kvm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	int max = ioctl(kvm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	unsigned i, n = kvm->machine.vm->config.vcpus;
	int ret = install_kick(err);

	if (ret < 0)
		return ret;
	if (run_size < (int)sizeof(struct kvm_run))
		return err_set(err, EINVAL, "KVM_GET_VCPU_MMAP_SIZE: %d",
			       run_size);
	if (max > 0 && n > (unsigned)max)
		return err_set(err, EINVAL,
			       "%u vCPUs: this host has %d at "
			       "most for a guest",
			       n, max);
	kvm->vcpus = calloc(n, sizeof(*kvm->vcpus));
	if (!kvm->vcpus)
		return err_set(err, ENOMEM, "vCPUs: out of memory");
	kvm->nvcpus = n;
	for (i = 0; i < n; i++) {
		kvm->vcpus[i].kvm = kvm;
		kvm->vcpus[i].id = i;
		kvm->vcpus[i].fd = -1;
	}
	for (i = 0; i < n && ret == 0; i++)
		ret = vcpu_create(kvm, &kvm->vcpus[i], run_size, err);
	return ret;
}

/* Exits. ---------------------------------------------------------------- */

/* A string instruction brings `count` items of `size` bytes each. */
static void exit_io(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint64_t at = run->io.data_offset;
	uint32_t i;

	for (i = 0; i < run->io.count; i++, at += run->io.size) {
		uint8_t *data = (uint8_t *)run + at;

		BUG_ON(at > vcpu->run_size ||
		       run->io.size > vcpu->run_size - at);
		if (run->io.direction == KVM_EXIT_IO_OUT)
			iobus_write(&vcpu->kvm->pio, run->io.port, data,
				    run->io.size);
		else
			iobus_read(&vcpu->kvm->pio, run->io.port, data,
				   run->io.size);
	}
}

static void exit_mmio(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint32_t len = run->mmio.len;

	BUG_ON(len > sizeof(run->mmio.data));
	if (run->mmio.is_write)
		iobus_write(&vcpu->kvm->mmio, run->mmio.phys_addr,
			    run->mmio.data, len);
	else
		iobus_read(&vcpu->kvm->mmio, run->mmio.phys_addr,
			   run->mmio.data, len);
}

static bool exit_system_event(struct kvm_vcpu *vcpu)
{
	struct vm *vm = vcpu->kvm->machine.vm;
	uint32_t type = vcpu->run->system_event.type;

	if (type == KVM_SYSTEM_EVENT_SHUTDOWN)
		vm_exited(vm, VM_EXIT_SHUTDOWN, "the guest powered off");
	else if (type == KVM_SYSTEM_EVENT_RESET)
		vm_exited(vm, VM_EXIT_RESET, "the guest asked for a reset");
	else
		vm_exited(vm, VM_EXIT_ERROR, "vCPU %u: system event %u",
			  vcpu->id, type);
	return false;
}

/* The instruction's bytes come with an emulation failure on newer kernels. */
static void internal_error(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs = {0};
	char bytes[64] = "";
	size_t len = 0;
	unsigned i;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0)
		regs.rip = UINT64_MAX;
	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION &&
	    run->emulation_failure.ndata >= 3 &&
	    (run->emulation_failure.flags &
	     KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		for (i = 0; i < run->emulation_failure.insn_size && i < 15; i++)
			len += (size_t)snprintf(
				bytes + len, sizeof(bytes) - len, " %02x",
				run->emulation_failure.insn_bytes[i]);
	vm_exited(vcpu->kvm->machine.vm, VM_EXIT_ERROR,
		  "vCPU %u: KVM internal error, suberror %u at rip 0x%llx%s%s",
		  vcpu->id, run->internal.suberror,
		  (unsigned long long)regs.rip, len ? ", instruction" : "",
		  bytes);
}

/* Whether the vCPU goes on. */
static bool handle_exit(struct kvm_vcpu *vcpu)
{
	struct vm *vm = vcpu->kvm->machine.vm;
	struct kvm_run *run = vcpu->run;
	uint32_t reason = run->exit_reason;

	if (reason < KVM_EXITS_MAX)
		vcpu->exits[reason]++;
	switch (reason) {
	case KVM_EXIT_IO:
		exit_io(vcpu);
		/* Nothing runs behind a power-off: Linux would read the sleep
		 * status over and over until it is stopped. */
		return !atomic_load(&vcpu->kvm->ended);
	case KVM_EXIT_MMIO:
		exit_mmio(vcpu);
		return true;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return true;
	case KVM_EXIT_SHUTDOWN:
		vm_exited(vm, VM_EXIT_RESET, "vCPU %u: triple fault", vcpu->id);
		return false;
	case KVM_EXIT_SYSTEM_EVENT:
		return exit_system_event(vcpu);
	case KVM_EXIT_FAIL_ENTRY:
		vm_exited(vm, VM_EXIT_ERROR,
			  "vCPU %u: entry failed, hardware reason 0x%llx",
			  vcpu->id,
			  (unsigned long long)run->fail_entry
				  .hardware_entry_failure_reason);
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		internal_error(vcpu);
		return false;
	default:
		vm_exited(vm, VM_EXIT_ERROR, "vCPU %u: unknown KVM exit %u",
			  vcpu->id, reason);
		return false;
	}
}

/* Threads. -------------------------------------------------------------- */

/* Parks while a pause is wanted; false: the thread is to end. */
static bool may_run(struct kvm_vcpu *vcpu)
{
	struct kvm_machine *kvm = vcpu->kvm;
	bool run;

	pthread_mutex_lock(&kvm->run_lock);
	if (kvm->wanted == KVM_WANT_PAUSE) {
		kvm->active--;
		evloop_poke(kvm->machine.vm->config.loop);
		while (kvm->wanted == KVM_WANT_PAUSE)
			pthread_cond_wait(&kvm->changed, &kvm->run_lock);
		kvm->active++;
	}
	run = kvm->wanted == KVM_WANT_RUN;
	if (run)
		vcpu->run->immediate_exit = 0;
	pthread_mutex_unlock(&kvm->run_lock);
	return run;
}

static void run_loop(struct kvm_vcpu *vcpu)
{
	while (may_run(vcpu)) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
			/* EAGAIN: the start-up message has come. */
			if (errno == EINTR || errno == EAGAIN)
				continue;
			if (errno == EFAULT && kvm_window_fault(vcpu))
				continue;
			vm_exited(vcpu->kvm->machine.vm, VM_EXIT_ERROR,
				  "vCPU %u: KVM_RUN: %s", vcpu->id,
				  strerror(errno));
			return;
		}
		if (!handle_exit(vcpu))
			return;
	}
}

static void *vcpu_main(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct kvm_machine *kvm = vcpu->kvm;
	struct vm *vm = kvm->machine.vm;
	char name[16];
	int ret;

	snprintf(name, sizeof(name), "vcpu%u", vcpu->id);
	pthread_setname_np(pthread_self(), name);
	ret = vm_vcpu_started(vm, vcpu->id);
	if (ret == 0)
		ret = vm_thread_started(vm, name);
	if (ret < 0)
		vm_exited(vm, VM_EXIT_ERROR, "%s: starting the thread: %s",
			  name, strerror(-ret));
	else
		run_loop(vcpu);
	pthread_mutex_lock(&kvm->run_lock);
	kvm->active--;
	kvm->alive--;
	evloop_poke(vm->config.loop);
	pthread_mutex_unlock(&kvm->run_lock);
	return NULL;
}

int kvm_vcpus_start(struct kvm_machine *kvm, struct err *err)
{
	sigset_t blocked, old;
	unsigned i;
	int ret = 0;

	/* Threads are born with all signals blocked but these. */
	sigfillset(&blocked);
	sigdelset(&blocked, KICK_SIGNAL);
	sigdelset(&blocked, SIGSYS); /* how a seccomp filter says no */
	/* How a page of the DAX window that is gone is met. */
	sigdelset(&blocked, SIGBUS);
	sigdelset(&blocked, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &blocked, &old);
	for (i = 0; i < kvm->nvcpus && ret == 0; i++) {
		struct kvm_vcpu *vcpu = &kvm->vcpus[i];

		pthread_mutex_lock(&kvm->run_lock);
		ret = pthread_create(&vcpu->thread, NULL, vcpu_main, vcpu);
		if (ret == 0) {
			vcpu->started = true;
			kvm->active++;
			kvm->alive++;
		}
		pthread_mutex_unlock(&kvm->run_lock);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret != 0)
		return err_ret(err, -ret, "vCPU %u: thread", i - 1);
	return 0;
}

static void change(struct kvm_machine *kvm, enum kvm_wanted wanted)
{
	unsigned i;

	pthread_mutex_lock(&kvm->run_lock);
	if (kvm->wanted != KVM_WANT_STOP)
		kvm->wanted = wanted;
	for (i = 0; i < kvm->nvcpus && wanted != KVM_WANT_RUN; i++) {
		struct kvm_vcpu *vcpu = &kvm->vcpus[i];

		if (!vcpu->started)
			continue;
		vcpu->run->immediate_exit = 1;
		pthread_kill(vcpu->thread, KICK_SIGNAL);
	}
	pthread_cond_broadcast(&kvm->changed);
	pthread_mutex_unlock(&kvm->run_lock);
}

static bool none_active(void *arg)
{
	struct kvm_machine *kvm = arg;
	bool none;

	pthread_mutex_lock(&kvm->run_lock);
	none = kvm->active == 0;
	pthread_mutex_unlock(&kvm->run_lock);
	return none;
}

static bool none_alive(void *arg)
{
	struct kvm_machine *kvm = arg;
	bool none;

	pthread_mutex_lock(&kvm->run_lock);
	none = kvm->alive == 0;
	pthread_mutex_unlock(&kvm->run_lock);
	return none;
}

void kvm_vcpus_pause(struct kvm_machine *kvm)
{
	change(kvm, KVM_WANT_PAUSE);
	evloop_serve(kvm->machine.vm->config.loop, none_active, kvm);
}

void kvm_vcpus_resume(struct kvm_machine *kvm)
{
	unsigned i;

	/* Tells the guest's watchdogs that time passed without it. A guest
	 * that uses no kvmclock has nothing to be told: EINVAL. */
	for (i = 0; i < kvm->nvcpus; i++)
		if (ioctl(kvm->vcpus[i].fd, KVM_KVMCLOCK_CTRL, 0) < 0 &&
		    errno != EINVAL)
			log_warn("vCPU %u: KVM_KVMCLOCK_CTRL: %s", i,
				 strerror(errno));
	change(kvm, KVM_WANT_RUN);
}

void kvm_vcpus_stop(struct kvm_machine *kvm)
{
	change(kvm, KVM_WANT_STOP);
}

static void log_exits(const struct kvm_vcpu *vcpu)
{
	uint64_t total = 0;
	unsigned i;

	for (i = 0; i < KVM_EXITS_MAX; i++)
		total += vcpu->exits[i];
	log_debug("vCPU %u: %" PRIu64 " exits, %" PRIu64 " port I/O, %" PRIu64
		  " MMIO",
		  vcpu->id, total, vcpu->exits[KVM_EXIT_IO],
		  vcpu->exits[KVM_EXIT_MMIO]);
}

void kvm_vcpus_release(struct kvm_machine *kvm)
{
	unsigned i;

	kvm_vcpus_stop(kvm);
	evloop_serve(kvm->machine.vm->config.loop, none_alive, kvm);
	for (i = 0; i < kvm->nvcpus; i++) {
		struct kvm_vcpu *vcpu = &kvm->vcpus[i];

		if (vcpu->started) {
			pthread_join(vcpu->thread, NULL);
			log_exits(vcpu);
		}
		if (vcpu->run)
			munmap(vcpu->run, vcpu->run_size);
		if (vcpu->fd >= 0)
			close(vcpu->fd);
	}
	free(kvm->vcpus);
	kvm->vcpus = NULL;
	kvm->nvcpus = 0;
}
