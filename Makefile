# SPDX-License-Identifier: Apache-2.0
#
#	make            build everything that ships
#	make run        build, then run a container in a sandbox
#	make check      all tests
#	make nightly    those of the file system with random numbers, and what is too
#	                long for the lab otherwise, for hours
#	make lint       format, static analysis, layers
#	make bench      benchmarks, with ratios
#	make install    DESTDIR and PREFIX as usual
#
# V picks the variant: release (default), san (ASan and UBSan), tsan, fuzz.

V ?= release
B := build/$(V)
GEN := build/gen
PREFIX ?= /usr/local
VERSION := 0.1.0

CC := gcc
PKGS := yajl libseccomp libcap-ng libnl-3.0 libnl-route-3.0 libprotobuf-c

WARN := -Wall -Wextra -Werror -Wshadow -Wvla -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wformat=2 -Wimplicit-fallthrough \
	-Wcast-align=strict -Wwrite-strings -Wundef -Wno-unused-parameter
CFLAGS.release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
# Instrumented code makes gcc see uninitialised variables that there are not.
CFLAGS.san := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer -fPIE -Wno-maybe-uninitialized
CFLAGS.tsan := -O1 -g -fsanitize=thread -fPIE -Wno-maybe-uninitialized
CFLAGS.fuzz := -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fPIE \
	-fno-sanitize-recover=all
LDFLAGS.release := -pie -Wl,-z,relro,-z,now,-z,noexecstack
LDFLAGS.san := -pie -fsanitize=address,undefined
LDFLAGS.tsan := -pie -fsanitize=thread
LDFLAGS.fuzz := -fsanitize=address,undefined
ifeq ($(V),fuzz)
CC := clang
WARN := -Wall -Wextra -Werror -Wno-unused-parameter
endif

CPPFLAGS := -I. -I$(GEN) -D_GNU_SOURCE -DNACRE_VERSION='"$(VERSION)"' \
	-DNACRE_PREFIX='"$(PREFIX)"'
CFLAGS = -std=gnu11 -pthread $(WARN) $(CFLAGS.$(V))
LDFLAGS = -pthread $(LDFLAGS.$(V))
LDLIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

Q := $(if $(VERBOSE),,@)
say = $(if $(VERBOSE),,@printf '  %-7s %s\n' $(1) $(2);)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

# --- base ------------------------------------------------------------------
BASE := err log utf8 evloop json json_parse jsonw file remove_tree fdpass \
	privilege syscall_filter landlock rootfs_path \
	unix_address number signals

# --- agent-proto -----------------------------------------------------------
PROTOS := ttrpc oci agent task
PROTO := ttrpc_frame ttrpc_conn ttrpc_server ttrpc_client ttrpc_wait idmap

# --- netns -----------------------------------------------------------------
NETNS := netns enter discover tap redirect
# As system headers: they are not held to our warnings.
$(B)/netns/%.o build/tidy/netns/%.ok: CPPFLAGS += $(patsubst -I%,-isystem %,$(shell pkg-config \
	--cflags libnl-route-3.0))

# --- vmm -------------------------------------------------------------------
VMM := core/fault core/guestmem core/window core/vm machine/machine virtio/queue virtio/device
VMM += virtio/vsock virtio/vsock_buf virtio/vsock_conn virtio/vsock_host \
	virtio/vsock_pending virtio/vsock_stream virtio/vsock_tx virtio/iov \
	virtio/net virtio/net_rx

VMM += virtio/rng virtio/console virtio/blk virtio/blk_request
VMM += virtio/inflight virtio/vhost_user_inflight
VMM += virtio/vhost_user virtio/vhost_user_msg virtio/vhost_user_mem \
	virtio/vhost_user_ring virtio/vhost_user_call
VMM += core/iobus core/vm_devices hw/serial hw/power acpi/aml acpi/tables \
	pci/function pci/host pci/msix virtio/pci virtio/pci_common \
	boot/boot boot/elf boot/pvh boot/bzimage options \
	machine/kvm machine/kvm_probe machine/kvm_cpu machine/kvm_vcpu \
	machine/kvm_irq machine/kvm_window machine/kvm_cmdline
VMM += machine/uml machine/uml_spawner machine/uml_jail machine/uml_exec \
	machine/uml_seccomp machine/uml_kernel machine/uml_probe

# --- virtiofs --------------------------------------------------------------
VIRTIOFS := slots inode handle cred name attr dir io xattr create remove \
	session server pool ring spin device needs idmap dax fhandle \
	fileattr acl xattrmap replay watch watch_tree wait closer vcpu
VIRTIOFS += $(addprefix daemon/,options confine fork listen serve)

# --- runtime ---------------------------------------------------------------
RUNTIME := oci/convert oci/spec oci/role config state cli/args cli/command \
	cli/task cli/proxy cli/terminal cli/create cli/exec cli/process_json \
	cli/inspect cli/control cli/events cli/stats_json cli/update \
	cli/spec_cmd cli/host \
	sandbox/control sandbox/jail sandbox/seccomp sandbox/process \
	sandbox/dial sandbox/stdio_dial sandbox/stream sandbox/console \
	sandbox/network sandbox/hooks \
	sandbox/host_cgroup sandbox/size sandbox/share sandbox/guest_spec \
	sandbox/extensions \
	sandbox/mount_points sandbox/container \
	sandbox/process_life sandbox/setup sandbox/sandbox sandbox/create \
	sandbox/stdio sandbox/stats sandbox/events sandbox/file_events \
	sandbox/event_batch sandbox/file_watch sandbox/waiters sandbox/task \
	sandbox/task_state sandbox/task_delete sandbox/supervisor sandbox/sweep

# --- guest/agent (static, release flags in every variant) ------------------
AGENT := address beside beside_call block boot cgroup cgroup_bpf child child_run clock \
	delegate command container container_exec container_root \
	container_state copy_file copy_up debug_console devices file_events \
	fs_group guest_devices guest_hooks hooks hotplug huge_pages ids \
	init_signal iptables limits listen log_port lookup lru_gen \
	mapped_mounts mem_agent mem_compact mem_reclaim metrics modules \
	mount_options mounts namespaces net netlink parked pci_path pending \
	policy pressure process read_ahead reaper replay resources rootfs \
	routes rpc rpc_guest rpc_observe rpc_process rpc_resources sandbox \
	seccomp shared_mounts spec stale_mounts stats stdio stdio_port \
	stdio_stream storage storage_options submounts sysctl \
	termination_log unmounts user user_names volume_calls volumes \
	watch watchable

# --- tests: the path below tests/unit and tests/fuzz, without .c -----------
TESTS_base := base/test_err base/test_log base/test_evloop base/test_json \
	base/test_jsonw base/test_file base/test_fdpass base/test_utf8 \
	base/test_confine base/test_unix_address base/test_number
TESTS_proto := agent-proto/test_ttrpc agent-proto/test_idmap
TESTS_netns := netns/test_netns
TESTS_vmm :=
TESTS_vmm += vmm/core/test_guestmem vmm/core/test_window vmm/virtio/test_queue \
	vmm/virtio/test_queue_race vmm/virtio/test_device \
	vmm/virtio/test_rng vmm/virtio/test_console vmm/virtio/test_blk \
	vmm/virtio/test_vhost_user vmm/virtio/test_vhost_user_hostile \
	vmm/virtio/test_vhost_user_inflight vmm/virtio/test_vhost_user_kicks \
	vmm/virtio/test_vhost_user_stop
TESTS_vmm += vmm/virtio/test_vsock vmm/virtio/test_vsock_stream \
	vmm/virtio/test_vsock_sink vmm/virtio/test_vsock_tx \
	vmm/virtio/test_vsock_pending vmm/virtio/test_net
TESTS_vmm += vmm/core/test_iobus vmm/hw/test_serial vmm/hw/test_power \
	vmm/acpi/test_tables vmm/pci/test_pci vmm/pci/test_msix \
	vmm/virtio/test_pci vmm/boot/test_boot vmm/test_options \
	vmm/machine/test_kvm vmm/machine/test_kvm_window
TESTS_vmm += vmm/machine/test_uml
TESTS_virtiofs := virtiofs/test_server virtiofs/test_files \
	virtiofs/test_confine virtiofs/test_names virtiofs/test_ids \
	virtiofs/test_bits virtiofs/test_try virtiofs/test_slots \
	virtiofs/test_spin virtiofs/test_device virtiofs/test_kicks \
	virtiofs/test_race
TESTS_virtiofs += virtiofs/test_idmap virtiofs/test_fileattr \
	virtiofs/test_fhandle virtiofs/test_xattrmap \
	virtiofs/daemon/test_options virtiofs/daemon/test_listen \
	virtiofs/test_dax virtiofs/test_replay virtiofs/test_watch \
	virtiofs/test_wait virtiofs/test_vcpu virtiofs/test_vcpus \
	virtiofs/test_closer
TESTS_runtime := runtime/oci/test_spec runtime/test_config \
	runtime/test_state runtime/cli/test_args runtime/cli/test_stats_json \
	runtime/sandbox/test_control \
	runtime/sandbox/test_host_cgroup runtime/sandbox/test_size \
	runtime/sandbox/test_liar runtime/sandbox/test_liar_calls \
	runtime/sandbox/test_races runtime/sandbox/test_hooks \
	runtime/sandbox/test_event_batch runtime/sandbox/test_extensions
TESTS_agent := $(addprefix guest/agent/test_,beside names cgroup_bpf spec \
	rootfs hooks memory pci_path policy stdio storage user_names \
	file_events stats unmounts boot kata_requests \
	init_signal resources termination_log mount_options limits)
# It has a sandbox process in place of ours.
$(patsubst %,$(B)/unit/runtime/sandbox/test_%,liar liar_calls races): \
	$(B)/tests/unit/runtime/sandbox/liar.o \
	$(B)/tests/unit/runtime/sandbox/liar_client.o
# Run under TSan as well.
TESTS_threaded := base/test_evloop
TESTS_threaded += virtiofs/test_slots virtiofs/test_device virtiofs/test_kicks \
	virtiofs/test_race virtiofs/test_wait virtiofs/test_vcpu virtiofs/test_vcpus
TESTS_threaded += vmm/hw/test_serial vmm/machine/test_kvm
TESTS_threaded += vmm/virtio/test_device vmm/virtio/test_blk \
	vmm/virtio/test_vhost_user
FUZZERS := fuzz_json fuzz_spec fuzz_ttrpc fuzz_stats
FUZZERS += fuzz_vsock fuzz_net
FUZZERS += fuzz_fuse
FUZZERS += fuzz_message fuzz_task fuzz_policy
FUZZERS += fuzz_virtq fuzz_blk fuzz_vhost_user
FUZZERS += fuzz_uml

objs = $(patsubst %,$(B)/$(1)/%.o,$(2))

LIB_base := $(B)/libbase.a
LIB_proto := $(B)/libproto.a
LIB_netns := $(B)/libnetns.a
LIB_vmm := $(B)/libvmm.a
LIB_virtiofs := $(B)/libvirtiofs.a
LIB_runtime := $(B)/libruntime.a
LIB_agent := $(B)/libagent.a

# What the tests of a layer link with: itself and what is below it.
LINK_base := $(LIB_base)
LINK_proto := $(LIB_proto) $(LIB_base)
LINK_netns := $(LIB_netns) $(LIB_base)
LINK_vmm := $(LIB_vmm) $(LIB_base)
LINK_virtiofs := $(LIB_virtiofs) $(LIB_vmm) $(LIB_base)
LINK_agent := $(LIB_agent) $(LIB_proto) $(LIB_base)
LINK_runtime := $(LIB_runtime) $(LIB_virtiofs) $(LIB_vmm) $(LIB_netns) \
	$(LIB_proto) $(LIB_base)

PB_OBJS := $(patsubst %,$(B)/gen/agent-proto/%.pb-c.o,$(PROTOS))

$(LIB_base): $(call objs,base,$(BASE))
$(LIB_proto): $(call objs,agent-proto,$(PROTO)) $(PB_OBJS)
$(LIB_netns): $(call objs,netns,$(NETNS))
$(LIB_vmm): $(call objs,vmm,$(VMM))
$(LIB_virtiofs): $(call objs,virtiofs,$(VIRTIOFS))
$(LIB_runtime): $(call objs,runtime,$(RUNTIME))
$(LIB_agent): $(call objs,guest/agent,$(AGENT))

$(B)/lib%.a:
	$(call say,AR,$@)
	@rm -f $@
	$(Q)ar rcs $@ $^

# Generated headers come before everything that may include them.
PB_HEADERS := $(patsubst %,$(GEN)/agent-proto/%.pb-c.h,$(PROTOS))

$(GEN)/agent-proto/%.pb-c.c $(GEN)/agent-proto/%.pb-c.h: agent-proto/%.proto
	$(call say,PROTOC,$<)
	@mkdir -p $(GEN)
	$(Q)protoc --c_out=$(GEN) -I. $<

# Objects of other flags (another PREFIX, say) are built again.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@new=$@.$$$$; \
	printf '%s\n' '$(CC) $(CPPFLAGS) $(CFLAGS)' >$$new; \
	if cmp -s $$new $@; then rm -f $$new; else mv -f $$new $@; fi
.PHONY: FORCE
FORCE:

# What protoc writes is not held to our warnings.
$(B)/gen/%.o: $(GEN)/%.c $(B)/flags | $(PB_HEADERS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-conversion -Wno-shadow \
		-Wno-strict-prototypes -MMD -MP -c -o $@ $<

$(B)/%.o: %.c $(B)/flags | $(PB_HEADERS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# --- binaries --------------------------------------------------------------
.PHONY: all
all: $(B)/nacre $(B)/nacre-vmm $(B)/nacre-virtiofsd $(B)/nacre-agent

# By rename: it may be running.
$(B)/nacre: $(B)/runtime/main.o $(LINK_runtime)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@.new $^ $(LDLIBS) && mv -f $@.new $@

$(B)/nacre-vmm: $(B)/vmm/main.o $(LINK_vmm)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/nacre-virtiofsd: $(B)/virtiofs/main.o $(LINK_virtiofs)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The guest has no libraries: static, and small rather than fast. Its objects
# are the same in every variant.
AGENT_CFLAGS := -Os -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE \
	-ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
AGENT_OBJS := $(patsubst %,build/agent/%.o,$(addprefix guest/agent/,main \
	$(AGENT)) $(addprefix agent-proto/,$(PROTO)) $(addprefix base/,$(BASE)) \
	$(patsubst %,gen/agent-proto/%.pb-c,$(PROTOS)))
AGENT_LDLIBS = $(shell pkg-config --static --libs libprotobuf-c libseccomp \
	2>/dev/null) -lyajl_s

build/agent/gen/%.o: $(GEN)/%.c | $(PB_HEADERS)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)gcc $(CPPFLAGS) -std=gnu11 $(AGENT_CFLAGS) -MMD -MP -c -o $@ $<

build/agent/%.o: %.c | $(PB_HEADERS)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)gcc $(CPPFLAGS) -std=gnu11 -pthread $(AGENT_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/nacre-agent: $(AGENT_OBJS)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)gcc -static-pie -pthread -Wl,--gc-sections,-z,relro,-z,now \
		-Wl,--sort-section=alignment -s -o $@ $^ $(AGENT_LDLIBS)

-include $(shell find build/agent -name '*.d' 2>/dev/null)

# The agent as an ordinary program, which the sanitizers can watch.
$(B)/nacre-agent-native: $(B)/guest/agent/main.o $(LINK_agent)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Drives the agent.
AGENTCTL := agentctl client calls $(addprefix suite_,spec mounts scheduling guest \
	resources policy ports hooks calls memory idmap stats stdio frames \
	deadlines disks iptables seccomp)

# For integration/agent/vm, whose guest has no libraries.
$(B)/agentctl-static: $(call objs,integration/agent,$(AGENTCTL)) $(LINK_proto)
	$(call say,LD,$@)
	$(Q)$(CC) -static -pthread -o $@ $^ -lprotobuf-c -lyajl_s

$(B)/pid1: $(B)/integration/agent/pid1.o
	$(call say,LD,$@)
	$(Q)$(CC) -static -o $@ $^

# For integration/agent/native.
$(B)/agentctl: $(call objs,integration/agent,$(AGENTCTL)) $(LINK_proto)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Drives an agent whose machine changes, for integration/agent/hotplug.
$(B)/plug: $(call objs,integration/agent,plug plug_shares qmp calls client) \
		$(LINK_proto)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The agent as first process, for integration/agent/native.
$(B)/boot: $(call objs,integration/agent,boot boot_kernel boot_machine client) \
		$(LINK_proto)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# --- programs of integration/virtiofs --------------------------------------
CONFORM := conform conform_open conform_names conform_data conform_ids \
	conform_acl conform_locks conform_leases conform_flags conform_fs
HOSTILE_GROUPS := $(addprefix hostile,_all _chain _shape _requests _layout \
	_files _limits _queues _random) hostile
HOSTILE := $(HOSTILE_GROUPS) $(addprefix hostile,_main _link _device _tree \
	_watch _no_device)
FS_BINS := $(addprefix $(B)/integration/virtiofs/,fusemount conform fsx vm \
	hostile lease guest.img)

.PHONY: virtiofs-bins
virtiofs-bins: $(FS_BINS)

$(B)/integration/virtiofs/fusemount: $(B)/integration/virtiofs/fusemount.o \
		$(LINK_virtiofs)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/integration/virtiofs/vm: $(B)/integration/virtiofs/vm.o \
		$(B)/integration/uml/machine.o $(LINK_virtiofs)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/integration/virtiofs/hostile: \
		$(call objs,integration/virtiofs,$(HOSTILE)) $(LINK_virtiofs)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The same from inside a guest, as its first process, and its host's part.
$(B)/integration/virtiofs/hostile-guest: $(call objs,integration/virtiofs,\
		$(HOSTILE_GROUPS) hostile_registers hostile_flips \
		hostile_guest hostile_driver hostile_pci hostile_memory \
		hostile_far) $(LIB_base)
	$(call say,LD,$@)
	$(Q)$(CC) -static -pthread -o $@ $^
$(B)/integration/virtiofs/hostile-host: $(call objs,integration/virtiofs,\
		hostile_host hostile_tree hostile_watch) $(LIB_base)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(B)/integration/virtiofs/hostile-guest.img: \
		$(B)/integration/virtiofs/hostile-guest guest/image/build
	$(call say,IMAGE,$@)
	$(Q)guest/image/build --agent $< $@

# These run in guests, which have no libraries.
$(B)/integration/virtiofs/guest: $(B)/integration/virtiofs/guest.o
	$(call say,LD,$@)
	$(Q)$(CC) -static -o $@ $^

$(B)/integration/virtiofs/guest.img: $(B)/integration/virtiofs/guest
	$(call say,IMAGE,$@)
	$(Q)guest/image/build --agent $< $@

$(B)/integration/virtiofs/conform: \
		$(call objs,integration/virtiofs,$(CONFORM))
	$(call say,LD,$@)
	$(Q)$(CC) -static -o $@ $^

$(B)/integration/virtiofs/fsprobe: $(B)/integration/virtiofs/fsprobe.o \
		$(B)/integration/bench/measure.o
	$(call say,LD,$@)
	$(Q)$(CC) -static -o $@ $^

# On the host, in a guest's place.
$(addprefix $(B)/integration/virtiofs/,fsload reconnect effects): \
		$(B)/integration/virtiofs/%: $(B)/integration/virtiofs/%.o \
		$(call objs,integration/virtiofs,frontend) \
		$(B)/integration/bench/measure.o $(LIB_base)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/integration/virtiofs/lease: $(B)/integration/virtiofs/lease.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

$(B)/integration/virtiofs/fsx: $(B)/integration/virtiofs/fsx.o
	$(call say,LD,$@)
	$(Q)$(CC) -static -o $@ $^

# --- programs of integration/uml -------------------------------------------
UML_GUESTS := hello devices loop calls spin
UML_BINS := $(addprefix $(B)/integration/uml/,boot confine kills)
UML_IMAGES := $(patsubst %,$(B)/integration/uml/guest/%.img,$(UML_GUESTS))

.PHONY: uml-bins uml-images
uml-bins: $(UML_BINS)
uml-images: $(UML_IMAGES) $(B)/integration/uml/guest/hostile

$(UML_BINS): %: %.o $(call objs,integration/uml,machine memcg tree) \
		$(LINK_vmm)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PRECIOUS: $(B)/integration/uml/guest/%
$(B)/integration/uml/guest/%: $(B)/integration/uml/guest/%.o
	$(call say,LD,$@)
	$(Q)$(CC) -static -o $@ $<

$(B)/integration/uml/guest/%.img: $(B)/integration/uml/guest/% guest/image/build
	$(call say,IMAGE,$@)
	$(Q)guest/image/build --agent $< $@

# --- programs of integration/vhost-user ------------------------------------
VHOST_USER := integration/vhost-user

.PHONY: vhost-user-bins vhost-user-guest
vhost-user-bins: $(B)/$(VHOST_USER)/serve
vhost-user-guest: $(B)/$(VHOST_USER)/guest.img $(B)/$(VHOST_USER)/shell.img \
	$(B)/vmlinux

$(B)/$(VHOST_USER)/serve: $(B)/$(VHOST_USER)/serve.o $(LINK_virtiofs)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Runs in the guest, which has no libraries, as well.
$(B)/$(VHOST_USER)/stream: $(B)/$(VHOST_USER)/stream.o
	$(call say,LD,$@)
	$(Q)$(CC) -static -o $@ $^

$(B)/$(VHOST_USER)/guest.img: $(VHOST_USER)/init $(B)/$(VHOST_USER)/stream
	$(call say,IMAGE,$@)
	$(Q)rm -rf $@.d && mkdir -p $@.d/bin $@.d/proc $@.d/sys $@.d/dev
	$(Q)cp $(VHOST_USER)/init $@.d
	$(Q)cp $$(command -v busybox) $(B)/$(VHOST_USER)/stream $@.d/bin
	$(Q)(cd $@.d && find . | cpio --quiet -o -H newc -R 0:0) >$@
	$(Q)rm -r $@.d

# Takes commands: for nacre-virtiofsd, and its benchmark.
SHELL_BINS := $(addprefix $(B)/integration/virtiofs/,conform fsx fsprobe)

$(B)/$(VHOST_USER)/shell.img: $(VHOST_USER)/shell $(SHELL_BINS)
	$(call say,IMAGE,$@)
	$(Q)rm -rf $@.d && mkdir -p $@.d/bin $@.d/proc $@.d/sys $@.d/dev
	$(Q)cp $(VHOST_USER)/shell $@.d/init
	$(Q)cp $$(command -v busybox) $(SHELL_BINS) $@.d/bin
	$(Q)(cd $@.d && find . | cpio --quiet -o -H newc -R 0:0) >$@
	$(Q)rm -r $@.d

# --- guest images ----------------------------------------------------------
# Kernels are made once and kept outside (guest/kernel/README.md); these are
# copies of what belongs to the present fragments. KERNEL_FLAGS picks another
# source for the x86-64 one: make images KERNEL_FLAGS='--source ~/linux'.
KERNEL_FLAGS :=
IMAGES := $(B)/initramfs $(B)/vmlinux $(B)/vmlinux-uml
STOCK_IMAGES := $(foreach k,stock backports,$(B)/vmlinuz-$k $(B)/initramfs-$k)

.PHONY: images
images: $(IMAGES)

$(B)/initramfs: $(B)/nacre-agent guest/image/build
	$(call say,IMAGE,$@)
	$(Q)guest/image/build --agent $< $@

$(B)/vmlinux: KERNEL_ARCH := x86_64
$(B)/vmlinux-uml: KERNEL_ARCH := um
$(B)/vmlinux $(B)/vmlinux-uml: FORCE
	@mkdir -p $(@D)
	@kernel=$$(guest/kernel/build --arch $(KERNEL_ARCH) \
		$(if $(filter x86_64,$(KERNEL_ARCH)),$(KERNEL_FLAGS))) && \
		{ cmp -s "$$kernel" $@ || \
		{ cp "$$kernel" $@.new && mv $@.new $@; }; }

# Debian's own, with the modules that they need.
$(B)/vmlinuz-backports $(B)/initramfs-backports: \
	STOCK_FLAGS := --suite bookworm-backports
$(B)/vmlinuz-stock $(B)/vmlinuz-backports:
	$(call say,STOCK,$@)
	$(Q)kernel=$$(guest/image/stock-kernel $(STOCK_FLAGS) | head -n 1) && \
		cp "$$kernel" $@.new && mv $@.new $@
$(B)/initramfs-stock $(B)/initramfs-backports: $(B)/nacre-agent \
		guest/image/build
	$(call say,IMAGE,$@)
	$(Q)set -- $$(guest/image/stock-kernel $(STOCK_FLAGS)) && \
		guest/image/build --agent $< --modules "$$2" \
		--kernel-release "$$3" $@

# For the tests of the agent: with iptables, and devices to make.
AGENT_IMAGES := $(addprefix $(B)/integration/agent/,initramfs initramfs-stock)

$(B)/integration/agent/initramfs: $(B)/nacre-agent guest/image/build
	$(call say,IMAGE,$@)
	$(Q)guest/image/build --agent $< --iptables $@
$(B)/integration/agent/initramfs-stock: $(B)/nacre-agent guest/image/build
	$(call say,IMAGE,$@)
	$(Q)set -- $$(guest/image/stock-kernel) && guest/image/build \
		--agent $< --iptables --modules "$$2" --kernel-release "$$3" \
		--module tun --module loop $@

# --- programs of integration/compare ----------------------------------------
COMPARE_BINS := $(addprefix $(B)/integration/compare/,probe agentrun)

# Runs in containers, which have no libraries.
$(B)/integration/compare/probe: $(call objs,integration/compare,probe \
		probe_process probe_files probe_calls)
	$(call say,LD,$@)
	$(Q)$(CC) -static -o $@ $^

$(B)/integration/compare/agentrun: $(B)/integration/compare/agentrun.o \
		$(B)/integration/agent/client.o $(LINK_runtime)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Goes after an initramfs with the modules that the kernel needs.
$(B)/integration/compare/guest.img: integration/compare/image \
		integration/compare/guest $(wildcard integration/compare/*.py) \
		$(B)/pid1 $(B)/nacre-agent $(COMPARE_BINS)
	$(call say,IMAGE,$@)
	$(Q)integration/compare/image $(B) $@

# --- the whole -------------------------------------------------------------
E2E_BINS := $(addprefix $(B)/integration/e2e/,console metrics ended)

$(B)/integration/e2e/console: %: %.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

$(addprefix $(B)/integration/e2e/,metrics ended): %: %.o $(LINK_proto)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Runs in containers, which have no libraries.
E2E_STATIC := $(addprefix $(B)/integration/e2e/,dax inotify)
E2E_BINS += $(E2E_STATIC)
$(E2E_STATIC): %: %.o
	$(call say,LD,$@)
	$(Q)$(CC) -static -o $@ $^

.PHONY: run e2e e2e-parts
e2e-parts: all $(IMAGES) $(STOCK_IMAGES) $(AGENT_IMAGES) $(E2E_BINS) \
		$(COMPARE_BINS) $(B)/integration/compare/guest.img \
		$(B)/agentctl-static $(B)/pid1 \
		$(addprefix $(B)/integration/virtiofs/,conform fsx \
		hostile-host hostile-guest.img)
e2e:
	$(Q)integration/e2e/run
# What the rest of this file asks pkg-config for may have to be installed first.
run:
	$(Q)scripts/packages build
	$(Q)$(MAKE) --no-print-directory all images
	$(Q)integration/run

# --- benchmarks ------------------------------------------------------------
# Runs in guests, which have no libraries.
$(B)/integration/bench/probe: $(call objs,integration/bench,probe measure)
	$(call say,LD,$@)
	$(Q)$(CC) -static -o $@ $^

.PHONY: bench bench-parts
bench-parts: all $(IMAGES) $(B)/integration/bench/probe \
		$(B)/integration/e2e/dax vhost-user-guest
bench:
	$(Q)integration/bench/run

# --- tests -----------------------------------------------------------------
LAYERS := base proto netns vmm virtiofs agent runtime
UNIT_BINS :=
# gcc does not know that cmocka's asserts end a test.
$(B)/tests/unit/%.o: CFLAGS += -Wno-maybe-uninitialized

define layer_tests
$(patsubst %,$(B)/unit/%,$(TESTS_$(1))): $(B)/unit/%: \
		$(B)/tests/unit/%.o $(LINK_$(1))
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) \
		$$(filter %.a,$$^) $$(LDLIBS) -lcmocka
UNIT_BINS += $(patsubst %,$(B)/unit/%,$(TESTS_$(1)))
endef
$(foreach l,$(LAYERS),$(eval $(call layer_tests,$(l))))

# A variant is one run of make.
UNIT_NAMES := $(patsubst $(B)/unit/%,%,$(UNIT_BINS))
.PHONY: unit unit-bins tsan tsan-bins
unit-bins: $(UNIT_BINS)
tsan-bins: $(patsubst %,$(B)/unit/%,$(TESTS_threaded))
unit:
	$(Q)$(MAKE) --no-print-directory V=san unit-bins
	$(Q)tests/run-unit $(addprefix build/san/unit/,$(UNIT_NAMES))
tsan:
	$(Q)$(MAKE) --no-print-directory V=tsan tsan-bins
	$(Q)tests/run-unit $(addprefix build/tsan/unit/,$(TESTS_threaded))

FUZZ_BINS := $(patsubst %,$(B)/fuzz/%,$(FUZZERS))
$(FUZZ_BINS): $(B)/fuzz/%: $(B)/tests/fuzz/%.o $(LIB_agent) $(LINK_runtime)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

.PHONY: fuzz fuzz-bins
fuzz-bins: $(FUZZ_BINS)
fuzz:
	$(Q)$(MAKE) --no-print-directory V=fuzz fuzz-bins
	$(Q)tests/run-fuzz $(addprefix build/fuzz/fuzz/,$(FUZZERS))

.PHONY: check nightly
check:
	$(Q)tests/check
nightly:
	$(Q)NACRE_NIGHTLY=1 tests/check packages build virtiofs virtiofsd \
		conform loads nightly

# --- lint ------------------------------------------------------------------
tracked = $(wildcard $(shell git ls-files -- $(1) 2>/dev/null))

.PHONY: lint headers tidy
lint: $(PB_HEADERS)
	$(Q)scripts/lint

# Each header compiles alone.
headers: $(PB_HEADERS)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fsyntax-only -x c \
		$(call tracked,'*.h')

# A file is analysed again when it, a header or the set of checks changed.
tidy: $(patsubst %,build/tidy/%.ok,$(call tracked,'*.c'))
build/tidy/%.c.ok: %.c scripts/tidy .clang-tidy tests/.clang-tidy | $(PB_HEADERS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu11 -M -MT $@ -MF $(@:.ok=.d) $<
	$(Q)scripts/tidy $< $(@:.ok=.d) $(CPPFLAGS) -std=gnu11
	@touch $@

# --- installation ----------------------------------------------------------
INSTALL := $(DESTDIR)$(PREFIX)
# Guest kernels and initramfs; empty: none.
SHARE ?= $(IMAGES)
.PHONY: install clean
install: all $(SHARE)
	$(Q)install -D -m 755 -t $(INSTALL)/bin $(B)/nacre $(B)/nacre-virtiofsd
	$(Q)$(if $(SHARE),install -D -m 644 -t $(INSTALL)/share/nacre $(SHARE))
	$(Q)$(if $(filter %-uml,$(SHARE)),chmod 755 \
		$(patsubst $(B)/%,$(INSTALL)/share/nacre/%,$(filter %-uml,$(SHARE))))
	$(Q)install -D -m 644 -t $(INSTALL)/share/man/man1 man/*.1
	$(Q)install -D -m 644 -t $(INSTALL)/share/man/man5 man/*.5
	$(Q)install -D -m 644 -t $(INSTALL)/share/doc/nacre README.md LICENSE \
		SECURITY.md configs/*
	$(Q)sed -i 's|/usr/local/|$(PREFIX)/|g' $(INSTALL)/share/man/man1/nacre.1 \
		$(INSTALL)/share/man/man5/nacre-configuration.5 \
		$(addprefix $(INSTALL)/share/doc/nacre/,$(notdir \
		$(wildcard configs/*)))

clean:
	rm -rf build

-include $(shell find $(B) build/tidy -name '*.d' 2>/dev/null)
