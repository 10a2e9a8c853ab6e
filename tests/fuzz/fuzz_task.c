/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each request of the supervisor's: ids, and the JSON that some carry. And what
 * its sandbox process tells of files.
 */
#include <stddef.h>
#include <stdint.h>

#include "runtime/oci/spec.h"
#include "runtime/sandbox/event_batch.h"
#include "runtime/sandbox/sandbox.h"
#include "tests/fuzz/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct json *parse(const Ttrpc__Any *any)
{
	struct err err;

	return any ? json_parse((const char *)any->value.data, any->value.len,
				"fuzz", 0, &err)
		   : NULL;
}

static void exec_part(const Task__ExecProcessRequest *msg)
{
	struct json *root = parse(msg->spec);
	Oci__Process *process;
	struct err err;

	(void)!oci_check_id(msg->exec_id, &err);
	process = root ? oci_process_from_json(root, &err) : NULL;
	if (process)
		oci__process__free_unpacked(process, NULL);
	json_free(root);
}

static void update_part(const Task__UpdateTaskRequest *msg)
{
	struct json *root = parse(msg->resources);
	Oci__LinuxResources *resources;
	struct err err;

	resources = root ? oci_resources_from_json(root, &err) : NULL;
	if (resources)
		oci__linux_resources__free_unpacked(resources, NULL);
	json_free(root);
}

static void events_part(const uint8_t *data, size_t size)
{
	Agent__ReplayEventsRequest *request = event_batch_read(
		(const char *)data, MIN(size, (size_t)CONTROL_TEXT_MAX));

	if (request)
		agent__replay_events_request__free_unpacked(request, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ProtobufCMessage *msg;

	events_part(data, size);
	msg = message_any(task_methods, data, size);

	if (!msg)
		return 0;
	if (msg->descriptor == &task__exec_process_request__descriptor)
		exec_part((const void *)msg);
	else if (msg->descriptor == &task__update_task_request__descriptor)
		update_part((const void *)msg);
	protobuf_c_message_free_unpacked(msg, NULL);
	return 0;
}
